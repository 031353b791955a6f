// Every word on the page, in English and Chinese.

const en = {
  controls: 'Controls', start: 'Start', stop: 'Stop', mute: 'Mute', unmute: 'Unmute', talk: 'Talk', talkOff: 'Stop talking',
  photo: 'Save a picture', stats: 'Statistics', full: 'Full screen', fullOff: 'Leave full screen', close: 'Close',
  again: 'Try again', tokenLabel: 'Viewer token', tokenEnter: 'Watch', tokenShow: 'Show the token', tokenHide: 'Hide the token',

  live: 'live', liveTalking: 'live, microphone on', linking: 'Reaching the hub', linkingDetail: '',
  ready: 'Stopped', readyDetail: 'Nothing is sent while you are not watching.',
  connecting: 'Connecting', connectingDetail: 'Looking for the shortest way to the camera.',
  offline: 'Waiting for the camera', offlineDetail: 'It is not connected to the hub. The picture starts by itself as soon as it is.',
  hubLost: 'The hub cannot be reached', hubLostDetail: 'Is this device online, and is the hub running? Trying again by itself.',
  hubLostNotice: 'hub lost, the picture goes on',
  privacyOn: 'Camera and microphone are off: privacy switch',
  stalled: 'The picture stands still', stalledDetail: 'The network is slow or the camera is busy. Waiting for it to come back.',
  reconnecting: 'Finding a new way', reconnectingDetail: 'The path to the camera broke, perhaps because a network changed.',
  token: 'Enter the viewer token', tokenDetail: 'Open the link or scan the code that was shown at the first start. Or type the token: it is in the file viewer-token.',
  tokenWrong: 'That token is not right', tokenWrongDetail: 'Compare it with the link that was shown at the first start, or with the file viewer-token.',
  tokenSlow: 'Too many wrong tokens', tokenSlowDetail: 'Wait a minute before the next try.',
  noPath: 'No way to the camera was found', noPathDetail: 'The networks between you and the camera let no connection through. Try another network (mobile data instead of Wi-Fi), or ask whoever runs the hub to set up a TURN server.',
  noCodec: 'No common video format', noCodecDetail: 'This browser and the camera have no codec in common. Try a current Chrome, Firefox, Edge or Safari.',
  tooMany: 'The camera is busy', tooManyDetail: 'It has as many viewers as it can serve. Try again when somebody has left.',
  noPicture: 'Connected, but no picture came', noPictureDetail: 'The camera may be unplugged or busy. Its log says more.',
  ended: 'The session has ended', endedDetail: '',
  failed: 'That did not work', failedDetail: 'If it happens again, the log of the camera says more.',
  noWebrtc: 'This browser cannot show the camera', noWebrtcDetail: 'It has no WebRTC, or it is switched off.',

  micDenied: 'The microphone is blocked for this page. Allow it in the browser’s address bar.',
  micMissing: 'No microphone was found.',
  micBusy: 'The microphone could not be opened. Another program may be using it.',
  insecure: 'Browsers give the microphone to secure pages only. To talk, open the camera’s https address; its certificate is its own, so the browser will ask once.',
  insecureLink: 'Open the secure page', photoSaved: 'Picture saved',

  sSize: 'Resolution', sFps: 'Frame rate', sBitrate: 'Bit rate', sRtt: 'Round trip', sPath: 'Path', sVerdict: 'Verdict of the camera', sLoss: 'Loss', sCodec: 'Codec',
  sBuffer: 'Buffer', sFirst: 'First picture', sFpsUnit: 'fps',
  host: 'direct', srflx: 'direct, through NAT', prflx: 'direct, through NAT', relay: 'relayed',
};

const zh = {
  controls: '控制', start: '开始', stop: '停止', mute: '静音', unmute: '打开声音', talk: '对讲', talkOff: '停止对讲',
  photo: '保存截图', stats: '统计信息', full: '全屏', fullOff: '退出全屏', close: '关闭',
  again: '重试', tokenLabel: '访问令牌', tokenEnter: '观看', tokenShow: '显示令牌', tokenHide: '隐藏令牌',

  live: '实时', liveTalking: '实时，麦克风已开启', linking: '正在连接服务器', linkingDetail: '',
  ready: '已停止', readyDetail: '停止观看时不传输任何画面和声音。',
  connecting: '正在连接', connectingDetail: '正在选择通往摄像头的最佳线路。',
  offline: '等待摄像头上线', offlineDetail: '摄像头尚未连接服务器，上线后会自动开始播放。',
  hubLost: '无法连接服务器', hubLostDetail: '请检查网络，并确认服务器正在运行。页面会自动重试。',
  hubLostNotice: '与服务器的连接已断开，画面不受影响',
  privacyOn: '隐私开关已开启：摄像头和麦克风已关闭',
  stalled: '画面卡住了', stalledDetail: '网络较慢或摄像头繁忙，正在等待恢复。',
  reconnecting: '正在重新连接', reconnectingDetail: '与摄像头的连接中断，可能是网络发生了切换。',
  token: '请输入访问令牌', tokenDetail: '请打开首次启动时显示的链接或扫描二维码；也可输入 viewer-token 文件中的令牌。',
  tokenWrong: '令牌不正确', tokenWrongDetail: '请与首次启动时显示的链接或 viewer-token 文件核对。',
  tokenSlow: '尝试次数过多', tokenSlowDetail: '请一分钟后再试。',
  noPath: '无法连接摄像头', noPathDetail: '您与摄像头之间的网络无法连通。请换个网络（例如改用移动数据），或请管理员配置 TURN 服务器。',
  noCodec: '视频格式不支持', noCodecDetail: '此浏览器与摄像头没有共同支持的编码格式。请使用新版 Chrome、Firefox、Edge 或 Safari。',
  tooMany: '观看人数已满', tooManyDetail: '请在有人退出后重试。',
  noPicture: '已连接，但没有画面', noPictureDetail: '摄像头可能未接好或正被占用，详情见其日志。',
  ended: '观看已结束', endedDetail: '',
  failed: '出错了', failedDetail: '如果反复出现，请查看摄像头的日志。',
  noWebrtc: '此浏览器无法播放摄像头画面', noWebrtcDetail: '浏览器不支持 WebRTC，或该功能已关闭。',

  micDenied: '麦克风权限被拒绝，请在浏览器地址栏中允许。',
  micMissing: '未找到麦克风。',
  micBusy: '无法打开麦克风，可能正被其他程序使用。',
  insecure: '浏览器只允许安全页面使用麦克风。要对讲，请打开摄像头的 https 地址；证书由摄像头自行签发，浏览器会提示一次。',
  insecureLink: '打开安全页面', photoSaved: '截图已保存',

  sSize: '分辨率', sFps: '帧率', sBitrate: '码率', sRtt: '往返时延', sPath: '连接方式', sVerdict: '摄像头的判断', sLoss: '丢包率', sCodec: '编码',
  sBuffer: '缓冲', sFirst: '首帧用时', sFpsUnit: '帧/秒',
  host: '直连', srflx: '穿透 NAT 直连', prflx: '穿透 NAT 直连', relay: '中继',
};

export const language = /^zh\b/i.test(navigator.language ?? '') ? 'zh' : 'en';
const table = language === 'zh' ? zh : en;

/** The words for a key; the key itself if there are none. */
export const t = (key) => table[key] ?? en[key] ?? key;
