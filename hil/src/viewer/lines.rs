//! Events out of what a viewer's process prints: one JSON object a line.

use super::Event;

/// No event is longer; what is, was not written by a viewer. A candidate has at most 2,048 bytes, an error's words 256 KiB
/// in theory and a line in practice.
const MAX_LINE: usize = 64 * 1024;

/// Puts lines together and reads them.
#[derive(Debug, Default)]
pub struct Lines {
    part: Vec<u8>,
    /// The rest of a line that is too long is skipped.
    skips: bool,
}

impl Lines {
    /// Takes in bytes as they come. Gives the events of the lines that end in them, and what is wrong with the others.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Result<Event, String>> {
        let mut found = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.take(line, &mut found);
            if !self.skips && !self.part.trim_ascii().is_empty() {
                found.push(read(&self.part));
            }
            self.part.clear();
            self.skips = false;
            bytes = &rest[1..];
        }
        self.take(bytes, &mut found);
        found
    }

    fn take(&mut self, bytes: &[u8], found: &mut Vec<Result<Event, String>>) {
        if self.skips {
            return;
        }
        if self.part.len() + bytes.len() > MAX_LINE {
            self.skips = true;
            self.part.clear();
            found.push(Err(format!("a line of more than {MAX_LINE} bytes")));
        } else {
            self.part.extend_from_slice(bytes);
        }
    }
}

fn read(line: &[u8]) -> Result<Event, String> {
    const SHOWN: usize = 200;
    serde_json::from_slice(line).map_err(|error| {
        let start: String = String::from_utf8_lossy(line).chars().take(SHOWN).collect();
        format!("no event ({error}): {start}")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(events: &[Event]) -> Vec<u8> {
        events.iter().flat_map(|event| (serde_json::to_string(event).unwrap() + "\n").into_bytes()).collect()
    }

    fn some_events() -> Vec<Event> {
        vec![
            Event::Answer { ms: 12.5 },
            Event::State { ms: 30.0, state: "connected".into() },
            Event::End { ms: 99.0, reason: "the time is over".into() },
        ]
    }

    #[test]
    fn events_come_out_as_they_were_written_however_the_bytes_are_cut() {
        let bytes = written(&some_events());
        for size in [1, 7, 1000] {
            let mut lines = Lines::default();
            let read: Vec<Event> =
                bytes.chunks(size).flat_map(|b| lines.push(b)).map(Result::unwrap).collect();
            assert_eq!(read, some_events());
        }
    }

    #[test]
    fn a_line_that_is_no_event_costs_only_itself() {
        let mut lines = Lines::default();
        let mut bytes = b"{\"event\":\"answer\"}\n\n  \nhello\n".to_vec();
        bytes.extend(written(&some_events()));
        let found = lines.push(&bytes);
        assert!(found[0].as_ref().unwrap_err().contains("missing field `ms`"), "{found:?}");
        assert!(found[1].as_ref().unwrap_err().contains("hello"));
        assert_eq!(found[2..].iter().filter_map(|f| f.clone().ok()).collect::<Vec<_>>(), some_events());
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut lines = Lines::default();
        let found: Vec<_> = (0..100).flat_map(|_| lines.push(&[b'x'; 4096])).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].is_err() && lines.part.is_empty());
        assert_eq!(lines.push(b"x\n{\"event\":\"answer\",\"ms\":1}\n"), [Ok(Event::Answer { ms: 1.0 })]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let mut lines = Lines::default();
            for chunk in chunks {
                lines.push(&chunk);
                prop_assert!(lines.part.len() <= MAX_LINE);
            }
        }
    }
}
