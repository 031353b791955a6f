//! How STUN servers see this device: one server-reflexive candidate for each socket and server (RFC 8445 section 5.1.1.2).

use std::{net::SocketAddr, sync::Arc, time::Instant};

use tokio::{task::JoinSet, time::sleep_until};
use tracing::{debug, warn};

use super::Context;
use crate::transport::{
    candidate::{CandidateKind, LocalCandidate, Protocol},
    query::{BindingQuery, Step},
    random_id,
    server::ServerUrl,
    shared::Shared,
    sockets::Socket,
};

impl Context {
    /// Asks from each of `sockets` how the server sees it. `again`: the log says already what is wrong with it.
    pub(super) async fn ask_stun(
        &self,
        server: &ServerUrl,
        addresses: &[SocketAddr],
        sockets: &[Arc<Socket>],
        again: bool,
    ) {
        let (mut queries, asked) = (JoinSet::new(), Instant::now());
        for socket in sockets {
            for &address in addresses.iter().filter(|a| reachable(socket.local, **a)) {
                let asking = query(self.shared.clone(), socket.clone(), address);
                queries.spawn(async move {
                    let (socket, result) = asking.await;
                    (socket, address, result)
                });
            }
        }
        let mut problem = None;
        while let Some(Ok((socket, address, result))) = queries.join_next().await {
            self.outcomes.binding(server, address, socket.local, asked, &result);
            match result {
                Ok(address) => {
                    let candidate = LocalCandidate {
                        kind: CandidateKind::ServerReflexive,
                        protocol: Protocol::Udp,
                        address,
                        base: socket.local,
                        related: Some(socket.local),
                        server: Some(server.to_string()),
                        local_preference: socket.preference,
                    };
                    problem = Some(Ok(()));
                    // Nobody waits for it if the session is over.
                    let _ = self.results.send(candidate).await;
                }
                Err(words) => {
                    problem.get_or_insert(Err(words));
                }
            }
        }
        // A TURN server that fails is told about by what asks it for an allocation.
        let problem = problem.unwrap_or_else(|| Err("none of this device's addresses can reach it".into()));
        if let Err(words) = problem
            && !server.relays()
        {
            if again {
                debug!("STUN server {server}: {words}");
                return;
            }
            self.shared.metrics.stun_failed();
            warn!("STUN server {server}: {words}");
        }
    }
}

/// Whether it makes sense to ask `server` from `local`: loopback reaches only loopback.
fn reachable(local: SocketAddr, server: SocketAddr) -> bool {
    local.is_ipv4() == server.is_ipv4() && local.ip().is_loopback() == server.ip().is_loopback()
}

/// Asks one server from one socket. Returns the socket with the answer.
async fn query(
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    server: SocketAddr,
) -> (Arc<Socket>, Result<SocketAddr, String>) {
    let mut query = BindingQuery::new(Instant::now(), random_id());
    let (_guard, mut answers) = shared.expect_answer(query.id(), socket.local, server);
    loop {
        let due = match query.poll(Instant::now()) {
            Step::Send(request) => {
                shared.transmit(&socket, server, request);
                continue;
            }
            Step::Wait(due) => due,
            Step::GiveUp => {
                let port = server.port();
                let advice = "is it running, and may this device send UDP to that port?";
                return (
                    socket,
                    Err(format!("{} does not answer on UDP port {port}; {advice}", server.ip())),
                );
            }
        };
        tokio::select! {
            Some(answer) = answers.recv() => {
                if let Some(result) = query.handle(&answer) {
                    return (socket, result);
                }
            }
            () = sleep_until(due.into()) => {}
        }
    }
}
