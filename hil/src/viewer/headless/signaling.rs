//! The viewer's link to the hub: a WebSocket with the envelopes of docs/protocol.md, opened again when it breaks, as
//! the hub's page does it.

use std::time::Duration;

use anyhow::anyhow;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest, http::StatusCode, protocol::WebSocketConfig},
};

/// A hub that accepts TCP and then says nothing. The page waits as long.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before it is opened again; doubled up to [`LAST_RETRY`]. The page's.
const FIRST_RETRY: Duration = Duration::from_millis(400);
/// See [`FIRST_RETRY`].
const LAST_RETRY: Duration = Duration::from_secs(5);
/// The hub's envelopes have at most 256 KiB.
const MAX_MESSAGE: usize = 512 * 1024;
/// A session's candidates and then some.
const QUEUE: usize = 256;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What the link tells.
#[derive(Debug)]
pub enum Tiding {
    /// It is open.
    Opened,
    /// An envelope.
    Heard(Value),
    /// It broke, and is opened again soon: why.
    Broke(String),
    /// It cannot be opened now: why.
    Unreachable(String),
    /// The hub does not want this viewer, now or later.
    Refused {
        /// `token-refused` or `hub-refused`.
        code: &'static str,
        /// For people.
        message: String,
    },
}

/// See the module. Ends when dropped.
#[derive(Debug)]
pub struct Link {
    tidings: mpsc::Receiver<Tiding>,
    outgoing: mpsc::Sender<Value>,
    resume: watch::Sender<Option<String>>,
    task: JoinHandle<()>,
}

impl Link {
    /// Begins to open a link to the hub at `HOST:PORT`.
    pub fn open(hub: &str, device: &str, token: &str) -> Self {
        let (tell, tidings) = mpsc::channel(QUEUE);
        let (outgoing, envelopes) = mpsc::channel(QUEUE);
        let (resume, resumed) = watch::channel(None);
        let run = Running {
            address: format!("ws://{hub}/v1/viewer?device={device}"),
            token: token.to_owned(),
            tell,
            envelopes,
            resume: resumed,
        };
        Self { tidings, outgoing, resume, task: tokio::spawn(run.run()) }
    }

    /// What happens next.
    pub async fn next(&mut self) -> Tiding {
        match self.tidings.recv().await {
            Some(tiding) => tiding,
            // Refused for good: nothing more will come.
            None => std::future::pending().await,
        }
    }

    /// Sends an envelope; false if the link is not open or does not take it.
    pub fn send(&self, envelope: Value) -> bool {
        self.outgoing.try_send(envelope).is_ok()
    }

    /// The session that a new link takes up again (docs/hub.md).
    pub fn resume(&self, session: Option<&str>) {
        self.resume.send_replace(session.map(str::to_owned));
    }

    /// Sends what waits and a close frame, so that the hub knows that the viewer has left.
    pub async fn close(mut self) {
        const CLOSING: Duration = Duration::from_millis(500);
        drop(std::mem::replace(&mut self.outgoing, mpsc::channel(1).0));
        let _ = timeout(CLOSING, &mut self.task).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Running {
    address: String,
    token: String,
    tell: mpsc::Sender<Tiding>,
    envelopes: mpsc::Receiver<Value>,
    resume: watch::Receiver<Option<String>>,
}

enum Ended {
    /// Whoever held the link.
    Here,
    /// The hub, or the network.
    There(String),
}

impl Running {
    async fn run(mut self) {
        let mut pause = FIRST_RETRY;
        loop {
            let why = match timeout(OPEN_TIMEOUT, self.open()).await {
                Ok(Ok(socket)) => {
                    // What was meant for the link before.
                    while self.envelopes.try_recv().is_ok() {}
                    if self.tell.send(Tiding::Opened).await.is_err() {
                        return;
                    }
                    match self.serve(socket, &mut pause).await {
                        Ended::Here => return,
                        Ended::There(why) => Tiding::Broke(why),
                    }
                }
                Ok(Err(Error::Http(response))) => match refusal(response.status()) {
                    Some(refused) => {
                        let _ = self.tell.send(refused).await;
                        return;
                    }
                    None => Tiding::Unreachable(format!("the hub answers {}", response.status())),
                },
                Ok(Err(error)) => Tiding::Unreachable(error.to_string()),
                Err(_) => {
                    let within = OPEN_TIMEOUT.as_secs();
                    Tiding::Unreachable(format!("the hub does not answer within {within} s"))
                }
            };
            if self.tell.send(why).await.is_err() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    async fn open(&self) -> Result<Socket, Error> {
        let mut request = self.address.as_str().into_client_request()?;
        let mut protocols = format!("p2pcam.v1, bearer.{}", self.token);
        if let Some(session) = self.resume.borrow().as_deref() {
            protocols += &format!(", resume.{session}");
        }
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse()?);
        let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE));
        tokio_tungstenite::connect_async_with_config(request, Some(config), true)
            .await
            .map(|(socket, _)| socket)
    }

    async fn serve(&mut self, mut socket: Socket, pause: &mut Duration) -> Ended {
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => match serde_json::from_str::<Value>(&text) {
                        Ok(envelope) => {
                            // Only now: a hub that is full opens the link too, and must not be asked again at once.
                            if envelope.get("connect").is_some() {
                                *pause = FIRST_RETRY;
                            }
                            if self.tell.send(Tiding::Heard(envelope)).await.is_err() {
                                return Ended::Here;
                            }
                        }
                        Err(error) => eprintln!("the hub sent something that is no JSON: {error}"),
                    },
                    Some(Ok(Message::Close(_))) | None => return Ended::There("the hub closed the link".into()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Ended::There(error.to_string()),
                },
                envelope = self.envelopes.recv() => match envelope {
                    Some(envelope) => if let Err(error) = socket.send(Message::text(envelope.to_string())).await {
                        return Ended::There(error.to_string());
                    },
                    None => {
                        let _ = socket.close(None).await;
                        return Ended::Here;
                    }
                },
            }
        }
    }
}

/// What an HTTP status in place of a WebSocket means for good (docs/hub.md); `None` if it may pass.
fn refusal(status: StatusCode) -> Option<Tiding> {
    let (code, message) = match status {
        StatusCode::UNAUTHORIZED => ("token-refused", "the hub does not know the viewer's token"),
        StatusCode::TOO_MANY_REQUESTS => ("token-refused", "the hub had too many wrong tokens from here"),
        StatusCode::BAD_REQUEST => ("hub-refused", "the device's name is none that a hub can have"),
        StatusCode::FORBIDDEN => ("hub-refused", "the hub refuses this viewer"),
        StatusCode::NOT_FOUND => ("hub-refused", "there is no hub at this address: another server answers"),
        _ => return None,
    };
    Some(Tiding::Refused { code, message: message.into() })
}

/// The addresses of the hub, for the choice of own ones.
pub async fn resolve(hub: &str) -> anyhow::Result<Vec<std::net::SocketAddr>> {
    let found = tokio::net::lookup_host(hub).await.map_err(|error| {
        anyhow!("{hub} is no hub's address ({error}): write HOST:PORT, as 192.0.2.1:8080")
    })?;
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_token_is_for_good_and_a_hub_that_restarts_is_not() {
        assert!(matches!(
            refusal(StatusCode::UNAUTHORIZED),
            Some(Tiding::Refused { code: "token-refused", .. })
        ));
        assert!(refusal(StatusCode::SERVICE_UNAVAILABLE).is_none());
        assert!(refusal(StatusCode::BAD_GATEWAY).is_none());
    }
}
