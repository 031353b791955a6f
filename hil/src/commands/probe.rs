//! `p2pcam-hil probe`.
