//! What leaves for one viewer as RTP: headers, sequence numbers, retransmissions, probes, all put together to trains of
//! packets that leave in one call.
//!
//! A [`Sender`] takes shared pictures and sound, and writes each packet once into a buffer that it uses again and again:
//! header, payload, encryption in place. It keeps of what was sent only references to the shared pictures. When how much
//! may leave is not decided here (that is pacing), nor what is encoded (that is the rate policy).

mod allowance;
mod clock;
mod extensions;
mod header;
mod history;
mod packet;
mod pictures;
#[cfg(test)]
mod property_tests;
mod repairs;
mod sender;
mod sound;
#[cfg(test)]
mod testing;
mod train;
mod video;

pub use self::{
    clock::RtpClock,
    extensions::{ExtensionIds, uri},
    repairs::Repair,
    sender::{Counts, Sender, SoundStream, StreamReport, VideoStream},
    train::{Outlet, Seal, Sent, Train},
};
