//! What an allocation does when the server refuses a request, or does not answer it.

use std::time::{Duration, Instant};

use super::{Allocation, Pending, State};
use crate::transport::turn::{
    message::{self, Auth, Refusal, Request},
    types::{AllocationEvent, Config, Doubt, Failure, FailureKind},
};

/// A refused signature or stale nonce is tried again this often for one request.
const MAX_AUTH_TRIES: u8 = 3;
/// Pause before a refresh that was not answered, or refused, is repeated.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);

impl Allocation {
    pub(super) fn handle_refusal(&mut self, now: Instant, pending: &Pending, refusal: Refusal) {
        let Refusal { code, text, realm, nonce, alternate, .. } = refusal;
        // 438: the nonce is stale (RFC 8489 section 9.2.5). 401: it was not signed, or with a nonce that the server does
        // not know any more; with its newest one, the credentials are wrong.
        let is_news = pending.nonce.is_none() || (nonce.is_some() && pending.nonce != nonce);
        let sign_again = code == 438 || (code == 401 && is_news);
        if sign_again && pending.tries < MAX_AUTH_TRIES && self.renew_auth(realm, nonce) {
            self.ask(now, pending.what, pending.tries + 1);
            return;
        }
        let advice = match code {
            300 => "it names no other server that can be asked",
            401 | 441 => {
                "user name or password is wrong, or they have expired: check both, and the server's clock"
            }
            403 => "it does not allow this address",
            437 => match pending.what {
                Request::Allocate => "it still holds an older allocation for this address",
                _ => "it has forgotten the allocation: was it restarted?",
            },
            440 | 443 => "it relays only for the other IP version",
            442 => "it does not relay UDP",
            486 => "the quota of this user is used up",
            508 => "it has no relay ports left",
            _ => "see the server's log",
        };
        let words = format!("it refused with {code} ({text}): {advice}");
        let kind = match (code, alternate) {
            (300, Some(alternate)) if matches!(pending.what, Request::Allocate) => {
                FailureKind::Redirected(alternate)
            }
            (401 | 403 | 440..=443, _) => FailureKind::Refused,
            _ => FailureKind::Unavailable,
        };
        let is_forgotten = code == 437 && !matches!(pending.what, Request::Allocate | Request::Refresh(0));
        match is_forgotten {
            true => self.fail(kind, words),
            false => {
                if matches!(code, 401 | 441) {
                    self.doubt(Doubt::Credentials(words.clone()));
                }
                self.give_up(now, &pending.what, kind, words);
            }
        }
    }

    /// Signs with this from now on.
    pub(super) fn renew_auth(&mut self, realm: Option<String>, nonce: Option<String>) -> bool {
        let realm = realm.or_else(|| self.auth.as_ref().map(|auth| auth.realm.clone()));
        let (Some(realm), Some(nonce)) = (realm, nonce) else { return false };
        let Config { username, password, crypto, .. } = &self.config;
        let Some(key) = message::key(crypto.crypto(), username, &realm, password) else { return false };
        self.auth = Some(Auth { username: username.clone(), realm, nonce, key });
        true
    }

    /// A request was refused or not answered.
    pub(super) fn give_up(&mut self, now: Instant, what: &Request, kind: FailureKind, words: String) {
        match *what {
            Request::Allocate => self.fail(kind, words),
            Request::Refresh(0) => self.state = State::Over,
            Request::Refresh(_) if now + REFRESH_PAUSE < self.expires => {
                let pause = match kind {
                    // It will hardly change its mind: what counts is that it still relays.
                    FailureKind::Refused => (self.expires - now) / 2,
                    _ => REFRESH_PAUSE,
                };
                self.refresh_at = now + pause.max(REFRESH_PAUSE);
            }
            Request::Refresh(_) => self.fail(kind, words),
            Request::Permit(ip) => {
                self.peers.not_permitted(now, ip);
                self.events.push_back(AllocationEvent::PeerRefused(ip, words));
            }
            Request::Bind(peer, _) => self.peers.not_bound(now, peer),
        }
    }

    pub(super) fn fail(&mut self, kind: FailureKind, words: String) {
        self.state = State::Over;
        if self.closing.is_none() {
            self.events.push_back(AllocationEvent::Failed(Failure { kind, words }));
        }
    }
}
