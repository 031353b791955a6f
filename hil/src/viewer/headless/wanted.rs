//! What a headless viewer is asked for.

use std::{net::IpAddr, time::Duration};

/// Whom to watch and how.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `HOST:PORT`.
    pub hub: String,
    /// The device's name on the hub.
    pub device: String,
    /// The viewers' token.
    pub token: String,
    /// Own addresses to gather from.
    pub addresses: Vec<IpAddr>,
    /// Use relays only.
    pub relay_only: bool,
    /// Ask for another session when one that had a picture breaks.
    pub retry: bool,
    /// Ends with the first picture.
    pub until_picture: bool,
    /// How long, from the request on.
    pub time: Duration,
}
