//! Any compound of RTCP: read without a panic and within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::session::rtcp::{Feedback, MAX_FEEDBACKS, MAX_LOST, MAX_STATUSES, parse};

fuzz_target!(|data: &[u8]| {
    let (mut said, mut lost, mut statuses) = (0, 0, 0);
    for feedback in parse(data) {
        said += 1;
        match feedback {
            Feedback::Nack { lost: numbers, .. } => lost += numbers.len(),
            Feedback::Twcc(cc) => statuses += usize::from(cc.packet_status_count),
            _ => {}
        }
    }
    assert!(said <= MAX_FEEDBACKS && lost <= MAX_LOST && statuses <= MAX_STATUSES);
});
