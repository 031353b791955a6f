//! What changes under a session while it lives: its sockets, and what servers see of them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{Instrument as _, debug};

use super::{
    Context,
    known::{Change, Known},
};
use crate::transport::{
    server::Servers,
    shared::Shared,
    sockets::{Socket, Sockets},
};

/// Time between two rounds in which all servers are asked: a change comes as several, and one answer serves them all.
const PAUSE: Duration = Duration::from_millis(500);

/// See the module's documentation.
pub(super) struct Live {
    context: Context,
    servers: watch::Receiver<Servers>,
    sockets: watch::Receiver<Arc<Sockets>>,
    refresh: Arc<Notify>,
    routes: u64,
    asked: Vec<SocketAddr>,
    asking: JoinSet<()>,
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Live {
    /// Watches what `sockets` holds after `now`; `refresh` asks for another look of all servers.
    pub fn new(
        context: Context,
        servers: watch::Receiver<Servers>,
        sockets: watch::Receiver<Arc<Sockets>>,
        now: &Sockets,
        refresh: Arc<Notify>,
    ) -> Self {
        let asked = now.offered.iter().map(|socket| socket.local).collect();
        let (routes, asking) = (now.routes, JoinSet::new());
        Self { context, servers, sockets, refresh, routes, asked, asking, last: None, due: None }
    }

    /// What the session is to be told next because of the sockets. What servers see comes as any other candidate. Can be
    /// dropped at any time without loss.
    pub async fn next(&mut self, known: &mut Known) -> Vec<Change> {
        if !self.context.direct {
            std::future::pending::<()>().await;
        }
        loop {
            let due = self.due;
            tokio::select! {
                Ok(()) = self.sockets.changed() => return self.follow(known),
                () = self.refresh.notified() => self.schedule(),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.ask_all(),
                Some(_) = self.asking.join_next(), if !self.asking.is_empty() => {}
                else => std::future::pending().await,
            }
        }
    }

    fn follow(&mut self, known: &mut Known) -> Vec<Change> {
        let now = self.sockets.borrow_and_update().clone();
        let changes = tell(&self.context.shared, known, &now);
        let new: Vec<_> =
            now.offered.iter().filter(|socket| !self.asked.contains(&socket.local)).cloned().collect();
        self.asked.retain(|asked| now.find(*asked).is_some());
        self.asked.extend(new.iter().map(|socket| socket.local));
        if std::mem::replace(&mut self.routes, now.routes) != now.routes {
            self.schedule();
        }
        // At once, also if all are asked again soon: this is what a session without a path waits for.
        self.ask(new);
        changes
    }

    fn schedule(&mut self) {
        let now = Instant::now();
        let earliest = self.last.map_or(now, |last| now.max(last + PAUSE));
        self.due.get_or_insert(earliest);
    }

    fn ask_all(&mut self) {
        (self.due, self.last) = (None, Some(Instant::now()));
        // Their questions went the old way; an answer would come to the same sockets, but perhaps never.
        self.asking.abort_all();
        let sockets = self.sockets.borrow().offered.clone();
        debug!("all STUN servers are asked again, from {} addresses", sockets.len());
        self.ask(sockets);
    }

    fn ask(&mut self, sockets: Vec<Arc<Socket>>) {
        if sockets.is_empty() {
            return;
        }
        for server in self.servers.borrow().iter().filter(|server| server.answers_stun()) {
            let (context, server, sockets) = (self.context.clone(), server.clone(), sockets.clone());
            let again = async move {
                match context.resolve(&server, true).await {
                    Ok(addresses) => context.ask_stun(&server, &addresses, &sockets, true).await,
                    Err(problem) => debug!("{server}: {problem}"),
                }
            };
            self.asking.spawn(again.in_current_span());
        }
    }
}

/// Brings what the session knows in step with the sockets.
pub(super) fn tell(shared: &Shared, known: &mut Known, now: &Sockets) -> Vec<Change> {
    let open: Vec<_> = now.all().map(|socket| socket.local).collect();
    let offered: Vec<_> = now.offered.iter().map(|socket| (socket.local, socket.preference)).collect();
    let mut changes = known.sockets(&open, &offered);
    for (local, preference) in offered {
        let passive = shared.tcp.host(local, preference);
        changes.extend(passive.into_iter().flat_map(|candidate| known.found(candidate)));
    }
    changes
}
