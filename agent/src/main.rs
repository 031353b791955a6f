//! The command line of the p2pcam agent, and nothing else.

mod commands;

use clap::Parser;

/// Nothing goes to a web proxy, least of all what is asked of the router of this very network: its UPnP would be that of the
/// proxy's network. The crate that asks has no switch for it.
const PROXIES: [&str; 6] =
    ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"];

fn main() -> std::process::ExitCode {
    for name in PROXIES {
        // SAFETY: there is no other thread yet.
        #[allow(unsafe_code)]
        unsafe {
            std::env::remove_var(name);
        }
    }
    commands::dispatch(commands::cli::Cli::parse())
}
