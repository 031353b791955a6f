//! Allocations on TURN servers: the relayed candidates of a session (RFC 8445 section 5.1.1.2).

use std::{net::SocketAddr, sync::PoisonError, time::Instant};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tracing::{Instrument as _, warn};

use super::Context;
use crate::transport::{
    candidate::{CandidateKind, LocalCandidate, Protocol},
    server::{ServerTransport, ServerUrl},
    turn::{self, Command, Opened, RelayTask},
};

/// Packets that may wait for an allocation's task. When it is full, the newest is dropped.
const COMMANDS: usize = 256;

impl Context {
    /// Asks for an allocation at each address.
    pub(super) async fn ask_turn(&self, server: &ServerUrl, addresses: &[SocketAddr], n: usize) {
        let tls = if server.is_tls() { self.shared.tls().await } else { None };
        let (mut attempts, asked) = (JoinSet::new(), Instant::now());
        for &address in addresses {
            let (commands, command_queue) = mpsc::channel(COMMANDS);
            let (opened, answer) = oneshot::channel();
            let task = RelayTask {
                url: server.clone(),
                server: address,
                tls: tls.clone(),
                metrics: self.shared.metrics.clone(),
                cancel: self.cancel.clone(),
                commands: command_queue,
                datagrams: self.inbox.clone(),
                opened,
                slots: self.slots.clone(),
            };
            self.tasks.spawn(turn::run(task).in_current_span());
            attempts.spawn(async move { (address, commands, answer.await.unwrap_or(Opened::NotNeeded)) });
        }
        let mut problem = None;
        while let Some(Ok((address, commands, opened))) = attempts.join_next().await {
            self.outcomes.allocation(server, address, asked, &opened);
            match opened {
                Opened::Kept { relayed, mapped } => {
                    problem = Some(Ok(()));
                    self.keep(server, n, relayed, mapped, commands).await;
                }
                Opened::NotNeeded => problem = Some(Ok(())),
                Opened::Failed(words) => {
                    problem.get_or_insert(Err(words));
                }
            }
        }
        if let Some(Err(words)) = problem {
            self.count_failure(server);
            warn!("TURN server {server}: {words}");
        }
    }

    async fn keep(
        &self,
        server: &ServerUrl,
        n: usize,
        relayed: SocketAddr,
        mapped: Option<SocketAddr>,
        commands: mpsc::Sender<Command>,
    ) {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner).add(relayed, commands);
        // A relay over UDP loses less time than one over TCP, and that less than one over TLS.
        let best = match (server.transport, server.is_tls()) {
            (ServerTransport::Udp, _) => u16::MAX,
            (ServerTransport::Tcp, false) => u16::MAX / 2,
            (ServerTransport::Tcp, true) => u16::MAX / 4,
        };
        let candidate = LocalCandidate {
            kind: CandidateKind::Relayed,
            protocol: Protocol::Udp,
            address: relayed,
            base: relayed,
            // With the policy `relay` the viewer must not learn where the device is.
            related: mapped.filter(|_| self.direct),
            server: Some(server.to_string()),
            local_preference: best - u16::try_from(n).unwrap_or(0),
        };
        // Nobody waits for it if the session is over.
        let _ = self.results.send(candidate).await;
    }
}
