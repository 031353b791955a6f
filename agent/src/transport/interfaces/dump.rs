//! What the kernel answers to one question for all of a kind (netlink(7), `NLM_F_DUMP`). Pure.

use std::io;

use super::message::{Question, messages};

/// Messages of one answer that are looked at; a device with more routes is a router of the Internet's core.
pub(super) const MAX_MESSAGES: usize = 4096;

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    Going,
    /// That was all.
    Done,
    /// More would come than is looked at.
    Full,
}

/// See the module's documentation.
pub(super) struct Dump<T> {
    question: Question,
    sequence: u32,
    read: fn(&[u8]) -> Option<T>,
    seen: usize,
    interrupted: bool,
    found: Vec<T>,
}

impl<T> Dump<T> {
    /// Nothing yet. `read` makes of a message's body what is wanted of it; what it refuses is left out.
    pub fn new(question: Question, sequence: u32, read: fn(&[u8]) -> Option<T>) -> Self {
        Self { question, sequence, read, seen: 0, interrupted: false, found: Vec::new() }
    }

    /// Takes a datagram of the kernel's. What answers another question is passed over.
    ///
    /// # Errors
    ///
    /// What the kernel refuses, as its number says.
    pub fn take(&mut self, datagram: &[u8]) -> io::Result<Progress> {
        for message in messages(datagram).filter(|message| message.sequence == self.sequence) {
            self.interrupted |= message.is_interrupted();
            if message.is_last() {
                return message.failure().map_or(Ok(Progress::Done), Err);
            }
            // The body of each begins with its family. A kernel without IPv6 tells of all families instead of it.
            let wanted = self.question.family().is_none_or(|family| message.body.first() == Some(&family));
            if message.kind == self.question.answer() && wanted {
                self.found.extend((self.read)(message.body));
            }
            self.seen += 1;
            if self.seen == MAX_MESSAGES {
                return Ok(Progress::Full);
            }
        }
        Ok(Progress::Going)
    }

    /// Something changed while the kernel told of it: something may be there twice, or missing.
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// What was read.
    pub fn found(self) -> Vec<T> {
        self.found
    }
}
