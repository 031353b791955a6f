//! Any text as SDP: cleaned, cut down and taken apart without a panic; cleaning twice changes nothing more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::signaling::sdp::{MAX_LINES, SdpView, clean_noting, codecs_in_words, restore, select};

fuzz_target!(|text: &str| {
    if let Ok(cleaned) = clean_noting(text) {
        // The lines that cleaning adds can go over the limit.
        if cleaned.sdp.lines().count() < MAX_LINES {
            let again = clean_noting(&cleaned.sdp).map(|c| c.sdp);
            assert!(again.is_err() || again.as_ref() == Ok(&cleaned.sdp));
        }
        if let Ok(selected) = select(&cleaned, &["0", "1"]) {
            let _ = restore(&selected.sdp, &selected.dropped);
        }
    }
    if let Ok(view) = SdpView::parse(text) {
        let _ = codecs_in_words(&view);
    }
});
