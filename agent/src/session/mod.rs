//! One viewer: negotiation, life cycle, tracks, statistics. Knows no V4L2.
