//! Any bytes as SRTCP, the first is the profile: refused without a panic; as a compound of the peer: read as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::session::srtp::{Keys, Master, Profile, Srtcp, SrtcpError};

fn master(profile: Profile, byte: u8) -> Master {
    Master::new(profile, &[byte; 32][..profile.key_len()], &[byte; 14][..profile.salt_len()]).unwrap()
}

fuzz_target!(|data: &[u8]| {
    let Some((which, datagram)) = data.split_first() else { return };
    let profile = Profile::ALL[usize::from(*which) % Profile::ALL.len()];
    let [ours, theirs] = [(1, 2), (2, 1)].map(|(local, remote)| {
        Keys::new(profile, master(profile, local), master(profile, remote)).unwrap()
    });
    let (mut ours, mut theirs) = (Srtcp::new(&ours), Srtcp::new(&theirs));
    let _ = ours.unprotect(datagram);
    if let Ok(sent) = theirs.protect(datagram) {
        assert_eq!(ours.unprotect(&sent).as_deref(), Ok(datagram));
        assert_eq!(ours.unprotect(&sent), Err(SrtcpError::Replayed));
    }
});
