//! The log in journald's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): an event is one datagram. Fields of events and
//! of the spans around them are fields of the journal; an event's own also stand in its message, which is all that
//! `journalctl` shows by default.

use std::{
    fmt::{self, Write},
    io,
    os::unix::net::UnixDatagram,
    path::PathBuf,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Put before field names: the span field `session` is `P2PCAM_SESSION`, so that `journalctl P2PCAM_SESSION=01JD...` is
/// one viewer's story. Bare names belong to systemd and to all programs together (systemd.journal-fields(7)):
/// `SESSION` and `DEVICE` could be anybody's, as logind's sessions are.
const PREFIX: &str = "P2PCAM_";

/// Longest value in bytes; what is longer is cut. A few fields of this size are less than what a datagram may be
/// (`net.core.wmem_default`, 208 KiB).
const MAX_VALUE: usize = 16 * 1024;

/// Sends events to journald. Lines that journald does not take at once, because it hangs or is flooded, are lost: a
/// camera goes on without a log, but not without a picture.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// Fields of all events.
    common: Fields,
}

/// Fields in the form of the protocol; also kept with each span.
#[derive(Clone, Debug, Default)]
struct Fields(Vec<u8>);

impl Fields {
    /// A field with this very name.
    fn put(&mut self, name: &str, value: &str) {
        let value = cut(value);
        self.0.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            self.0.push(b'\n');
            self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }

    /// A field of an event or span, under the agent's prefix. journald knows `A-Z 0-9 _`.
    fn put_own(&mut self, name: &str, value: &str) {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = PREFIX.chars().chain(name.chars().map(plain)).collect();
        self.put(&name, value);
    }
}

fn cut(value: &str) -> &str {
    let mut end = value.len().min(MAX_VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

/// A span's fields.
impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_own(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_own(field.name(), &format!("{value:?}"));
    }
}

/// An event's fields, and its message with them behind it.
struct Line {
    fields: Fields,
    message: String,
    rest: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.fields.put_own(field.name(), value);
            // Writing to a String cannot fail.
            let _ = write!(self.rest, " {}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Journal {
    /// Sends to the socket at `path`, with these fields on each event.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub(super) fn open(path: impl Into<PathBuf>, common: &[(&str, &str)]) -> io::Result<Self> {
        let (socket, path) = (UnixDatagram::unbound()?, path.into());
        socket.set_nonblocking(true)?;
        // journald passes over an empty datagram.
        socket.send_to(&[], &path)?;
        let mut fields = Fields::default();
        common.iter().for_each(|(name, value)| fields.put(name, value));
        Ok(Self { socket, path, common: fields })
    }
}

/// The priorities of syslog(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line { fields: self.common.clone(), message: String::new(), rest: String::new() };
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.fields.0.extend_from_slice(&fields.0);
            }
        }
        event.record(&mut line);
        let Line { mut fields, message, rest } = line;
        fields.put("MESSAGE", &(message + &rest));
        let metadata = event.metadata();
        fields.put("PRIORITY", priority(*metadata.level()));
        fields.put_own("target", metadata.target());
        // There is nobody to tell that the log does not work.
        let _ = self.socket.send_to(&fields.0, &self.path);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tracing::{info, info_span, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What arrives at a journald while something is logged, one datagram an event.
    fn logged(log: impl FnOnce()) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        journald.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let journal = Journal::open(&path, &[("P2PCAM_DEVICE", "porch")]).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), log);
        let mut buffer = vec![0; 256 * 1024];
        let mut datagrams = Vec::new();
        while let Ok(length) = journald.recv(&mut buffer) {
            datagrams.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        assert_eq!(datagrams.remove(0), "", "the probe");
        datagrams
    }

    #[test]
    fn an_event_has_its_own_fields_those_of_its_spans_and_the_device() {
        let lines = logged(|| {
            let span = info_span!("viewer", session = %"01JD", more = tracing::field::Empty);
            let _entered = span.enter();
            span.record("more", 7);
            warn!(encoder = "openh264", width = 640, "opened {}", "again");
        });
        let lines: Vec<&str> = lines[0].lines().collect();
        for line in [
            "P2PCAM_DEVICE=porch",
            "P2PCAM_SESSION=01JD",
            "P2PCAM_MORE=7",
            "P2PCAM_ENCODER=openh264",
            "P2PCAM_WIDTH=640",
            "MESSAGE=opened again encoder=openh264 width=640",
            "PRIORITY=4",
            "P2PCAM_TARGET=p2pcam_agent::telemetry::journal::tests",
        ] {
            assert!(lines.contains(&line), "{line} is not in {lines:?}");
        }
    }

    #[test]
    fn an_event_outside_of_a_session_has_no_session() {
        let lines = logged(|| {
            info_span!("viewer", session = "01JD").in_scope(|| info!("inside"));
            info!("outside");
        });
        assert!(lines[0].contains("P2PCAM_SESSION=01JD\n") && lines[0].contains("MESSAGE=inside\n"));
        assert!(!lines[1].contains("SESSION") && lines[1].contains("MESSAGE=outside\n"));
    }

    #[test]
    fn a_value_of_several_lines_cannot_make_fields_of_its_own() {
        let lines = logged(|| info!("one\nPRIORITY=0"));
        assert!(lines[0].contains("MESSAGE\n\u{e}\0\0\0\0\0\0\0one\nPRIORITY=0\n"), "{:?}", lines[0]);
    }

    #[test]
    fn a_value_is_cut_between_characters() {
        let long = format!("{}ü", "x".repeat(MAX_VALUE - 1));
        assert_eq!(cut(&long).len(), MAX_VALUE - 1);
        assert_eq!(cut("ü"), "ü");
    }

    #[test]
    fn a_journald_that_takes_nothing_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::open(&path, &[]).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            // More than the queue of a datagram socket holds (net.unix.max_dgram_qlen).
            (0..2000).for_each(|_| info!("a line"));
        });
        drop(journald);
        assert!(Journal::open(&path, &[]).is_err(), "nobody listens any more");
    }
}
