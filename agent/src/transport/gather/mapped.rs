//! Ports that routers hold open, as candidates: known ones at once, others when they come.

use std::{collections::VecDeque, future::pending, sync::Arc};

use tokio::sync::watch;

use super::known::Change;
use crate::transport::{
    candidate::{CandidateKind, LocalCandidate, Protocol},
    mapping::Mapping,
    shared::Shared,
};

/// By so much server-reflexive candidates come after these, which let every viewer in: more than there are sockets.
pub(super) const BETTER: u16 = 32;
/// Candidates of a session. A router that gives another port ever again gets no further.
const MAX_TOLD: usize = 16;

/// The mappings that a session has not told its viewer yet.
pub(super) struct Mapped {
    mappings: Option<watch::Receiver<Arc<[Mapping]>>>,
    shared: Arc<Shared>,
    waiting: VecDeque<Change>,
    told: Vec<(Mapping, Option<LocalCandidate>)>,
    count: usize,
}

impl Mapped {
    /// `None`: no router is asked.
    pub fn new(mappings: Option<watch::Receiver<Arc<[Mapping]>>>, shared: Arc<Shared>) -> Self {
        let mut mapped = Self { mappings, shared, waiting: VecDeque::new(), told: Vec::new(), count: 0 };
        mapped.look();
        mapped
    }

    /// Whether all that is known was told.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The sockets are others: what leads to them is told again.
    pub fn look_again(&mut self) {
        self.told.clear();
        self.count = 0;
        self.look();
    }

    /// The next one. Can be dropped at any time without loss.
    pub async fn next(&mut self) -> Change {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return change;
            }
            match &mut self.mappings {
                // An error: nothing is held any more.
                Some(mappings) => match mappings.changed().await {
                    Ok(()) => self.look(),
                    Err(_) => {
                        self.withdraw(&[]);
                        self.mappings = None;
                    }
                },
                None => pending().await,
            }
        }
    }

    fn look(&mut self) {
        let Some(mappings) = &mut self.mappings else { return };
        let held = mappings.borrow_and_update().clone();
        self.withdraw(&held);
        for mapping in held.iter() {
            if self.told.iter().any(|(told, _)| told == mapping) || self.count >= MAX_TOLD {
                continue;
            }
            self.count += 1;
            let candidate = candidate(&self.shared, mapping);
            self.waiting.extend(candidate.clone().map(Change::New));
            self.told.push((*mapping, candidate));
        }
    }

    /// What was told and is not among `held` leads nowhere any more.
    fn withdraw(&mut self, held: &[Mapping]) {
        for (_, candidate) in self.told.extract_if(.., |(told, _)| !held.contains(told)) {
            self.waiting.extend(candidate.map(Change::Gone));
        }
    }
}

/// `None`: the mapping leads to no socket or listener of the shared port, or the address outside is the device's own.
fn candidate(shared: &Shared, mapping: &Mapping) -> Option<LocalCandidate> {
    let is_own = |ip| shared.sockets().all().any(|socket| socket.local.ip() == ip);
    if is_own(mapping.external.ip()) {
        return None;
    }
    let (kind, base) = (CandidateKind::ServerReflexive, mapping.local);
    let preference = shared.socket(base)?.preference;
    let (related, server) = (Some(base), Some(mapping.kind.as_str().into()));
    Some(match mapping.protocol {
        Protocol::Udp => LocalCandidate {
            kind,
            protocol: Protocol::Udp,
            address: mapping.external,
            base,
            related,
            server,
            local_preference: preference,
        },
        Protocol::Tcp if shared.tcp.listens(base) => LocalCandidate {
            related,
            server,
            ..LocalCandidate::passive(kind, mapping.external, base, preference)
        },
        Protocol::Tcp => return None,
    })
}
