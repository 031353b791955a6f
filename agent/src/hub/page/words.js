// Every word on the page, in English and Chinese.

const en = {
  controls: 'Controls', start: 'Start', stop: 'Stop', mute: 'Mute', unmute: 'Unmute', talk: 'Talk', talkOff: 'Stop talking',
  photo: 'Save a picture', stats: 'Statistics', full: 'Full screen', fullOff: 'Leave full screen', close: 'Close',
  again: 'Try again', tokenLabel: 'Viewer token', tokenEnter: 'Watch',

  live: 'live', linking: 'Reaching the hub', linkingDetail: '',
  ready: 'Stopped', readyDetail: 'Nothing is sent while you are not watching.',
  connecting: 'Connecting', connectingDetail: 'Looking for the shortest way to the camera.',
  offline: 'Waiting for the camera', offlineDetail: 'It is not connected to the hub. The picture starts by itself as soon as it is.',
  hubLost: 'The hub cannot be reached', hubLostDetail: 'Is this device online, and is the hub running? Trying again by itself.',
  hubLostNotice: 'hub lost, the picture goes on',
  stalled: 'The picture stands still', stalledDetail: 'The network is slow or the camera is busy. Waiting for it to come back.',
  reconnecting: 'Finding a new way', reconnectingDetail: 'The path to the camera broke, perhaps because a network changed.',
  token: 'Who is there?', tokenDetail: 'This camera is closed to strangers. Its token was shown when it first started, and is in its file viewer-token.',
  tokenWrong: 'That token is not right', tokenWrongDetail: 'Look at the address that the camera printed at its first start, or in its file viewer-token.',
  tokenSlow: 'Too many wrong tokens', tokenSlowDetail: 'Wait a minute before the next try.',
  noPath: 'No way to the camera was found', noPathDetail: 'The networks between you and the camera let no connection through. Try another network (mobile data instead of Wi-Fi), or ask whoever runs the hub to set up a TURN server.',
  noCodec: 'No common video format', noCodecDetail: 'This browser and the camera have no codec in common. Try a current Chrome, Firefox, Edge or Safari.',
  tooMany: 'The camera is busy', tooManyDetail: 'It has as many viewers as it can serve. Try again when somebody has left.',
  noPicture: 'Connected, but no picture came', noPictureDetail: 'The camera may be unplugged or busy. Its log says more.',
  ended: 'The session has ended', endedDetail: '',
  failed: 'That did not work', failedDetail: '',
  noWebrtc: 'This browser cannot show the camera', noWebrtcDetail: 'It has no WebRTC, or it is switched off.',

  micDenied: 'The microphone is blocked for this page. Allow it in the browser’s address bar.',
  micMissing: 'No microphone was found.',
  insecure: 'Browsers give the microphone to secure pages only. To talk, open the camera’s https address; its certificate is its own, so the browser will ask once.',
  insecureLink: 'Open the secure page', photoSaved: 'Picture saved',

  sSize: 'Picture', sFps: 'Rate', sBitrate: 'Bit rate', sRtt: 'Round trip', sPath: 'Path', sLoss: 'Loss', sCodec: 'Codec',
  sBuffer: 'Jitter buffer', sFirst: 'First picture', sFpsUnit: 'fps',
  host: 'direct, same network', srflx: 'direct through NAT', prflx: 'direct through NAT', relay: 'relayed',
};

const zh = {
  controls: '控制', start: '开始', stop: '停止', mute: '静音', unmute: '打开声音', talk: '对讲', talkOff: '停止对讲',
  photo: '保存截图', stats: '统计信息', full: '全屏', fullOff: '退出全屏', close: '关闭',
  again: '重试', tokenLabel: '观看令牌', tokenEnter: '观看',

  live: '直播', linking: '正在连接服务器', linkingDetail: '',
  ready: '已停止', readyDetail: '未观看时不会传输任何内容。',
  connecting: '正在连接', connectingDetail: '正在寻找到摄像头的最短路径。',
  offline: '等待摄像头', offlineDetail: '摄像头尚未连接到服务器，上线后画面会自动开始。',
  hubLost: '无法连接服务器', hubLostDetail: '请检查本设备的网络以及服务器是否在运行。正在自动重试。',
  hubLostNotice: '与服务器断开，画面继续',
  stalled: '画面停住了', stalledDetail: '网络缓慢或摄像头繁忙，正在等待恢复。',
  reconnecting: '正在寻找新路径', reconnectingDetail: '到摄像头的路径中断，可能是网络发生了变化。',
  token: '请输入令牌', tokenDetail: '此摄像头不对外开放。令牌在首次启动时显示，也保存在其 viewer-token 文件中。',
  tokenWrong: '令牌不正确', tokenWrongDetail: '请查看摄像头首次启动时打印的地址，或其 viewer-token 文件。',
  tokenSlow: '错误次数过多', tokenSlowDetail: '请等待一分钟后再试。',
  noPath: '找不到到摄像头的路径', noPathDetail: '您与摄像头之间的网络不允许建立连接。请换一个网络（例如用移动数据代替 Wi-Fi），或请服务器管理员配置 TURN 服务器。',
  noCodec: '没有共同的视频格式', noCodecDetail: '此浏览器与摄像头没有共同的编解码器。请使用新版 Chrome、Firefox、Edge 或 Safari。',
  tooMany: '摄像头忙', tooManyDetail: '观看人数已达上限，请在有人离开后重试。',
  noPicture: '已连接，但没有画面', noPictureDetail: '摄像头可能未接好或正忙，请查看其日志。',
  ended: '会话已结束', endedDetail: '',
  failed: '出现问题', failedDetail: '',
  noWebrtc: '此浏览器无法显示摄像头画面', noWebrtcDetail: '浏览器没有 WebRTC 功能，或该功能已被关闭。',

  micDenied: '此页面的麦克风已被禁用，请在浏览器地址栏中允许。',
  micMissing: '没有找到麦克风。',
  insecure: '浏览器只允许安全页面使用麦克风。要对讲，请打开摄像头的 https 地址；其证书由摄像头自己签发，浏览器会询问一次。',
  insecureLink: '打开安全页面', photoSaved: '截图已保存',

  sSize: '画面', sFps: '帧率', sBitrate: '码率', sRtt: '往返时延', sPath: '路径', sLoss: '丢包', sCodec: '编码',
  sBuffer: '抖动缓冲', sFirst: '首帧', sFpsUnit: '帧/秒',
  host: '直连，同一网络', srflx: '穿透 NAT 直连', prflx: '穿透 NAT 直连', relay: '中继',
};

export const language = /^zh\b/i.test(navigator.language ?? '') ? 'zh' : 'en';
const table = language === 'zh' ? zh : en;

/** The words for a key; the key itself if there are none. */
export const t = (key) => table[key] ?? en[key] ?? key;
