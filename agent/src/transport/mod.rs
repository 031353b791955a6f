//! What lies under the sessions: the shared UDP port, STUN and TURN.
