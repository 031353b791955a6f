//! What MPP says when something fails, in words.

use std::{fmt, time::Duration};

use super::abi;

/// What the agent wanted of MPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `mpp_create`
    Context,
    /// `mpp_init`
    Encoder,
    /// A setting, by its name in MPP.
    Setting(&'static str),
    /// All settings together.
    Settings,
    /// SPS and PPS.
    Header,
    /// A buffer of its own.
    Memory,
    /// A camera's buffer as input.
    Import,
    /// A picture encoded.
    Encode,
}

/// Why MPP did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MppError {
    /// It said a code (`MPP_RET` of mpp_err.h).
    Refused(Wanted, i32),
    /// Nothing came back in time.
    Stalled(Duration),
    /// It came back without a coded picture: how MPP tells that the hardware failed on it.
    Empty,
}

impl MppError {
    fn name(code: i32) -> &'static str {
        match code {
            abi::MPP_NOK => "MPP_NOK",
            abi::MPP_ERR_UNKNOW => "MPP_ERR_UNKNOW",
            abi::MPP_ERR_NULL_PTR => "MPP_ERR_NULL_PTR",
            abi::MPP_ERR_MALLOC => "MPP_ERR_MALLOC",
            abi::MPP_ERR_OPEN_FILE => "MPP_ERR_OPEN_FILE",
            abi::MPP_ERR_VALUE => "MPP_ERR_VALUE",
            abi::MPP_ERR_TIMEOUT => "MPP_ERR_TIMEOUT",
            abi::MPP_ERR_PERM => "MPP_ERR_PERM",
            abi::MPP_ERR_INIT => "MPP_ERR_INIT",
            abi::MPP_ERR_VPU_CODEC_INIT => "MPP_ERR_VPU_CODEC_INIT",
            abi::MPP_ERR_NOMEM => "MPP_ERR_NOMEM",
            abi::MPP_ERR_VPUHW => "MPP_ERR_VPUHW",
            _ => "a code of its own",
        }
    }
}

impl fmt::Display for MppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wanted, code) = match self {
            Self::Refused(wanted, code) => (wanted, *code),
            Self::Stalled(time) => {
                return write!(
                    f,
                    "the Rockchip encoder gave nothing for {} ms; if it goes on, `dmesg | grep mpp` tells what the \
                     driver saw, and restarting the board resets it",
                    time.as_millis()
                );
            }
            Self::Empty => {
                return f.write_str(
                    "the Rockchip encoder failed on a picture: `dmesg | grep mpp` tells what the driver saw",
                );
            }
        };
        let (what, advice) = match wanted {
            Wanted::Context => ("make a context", "is memory short?"),
            Wanted::Encoder => (
                "open an encoder",
                "this chip may have none for the codec, or all are in use; MPP's own lines in the \
                 system log (`journalctl -t mpp`) tell",
            ),
            Wanted::Setting(key) => {
                (*key, "the library may be of another version than those in docs/encoders-mpp.md")
            }
            Wanted::Settings => {
                ("take its settings", "are width, height and fps in [video] what this chip can encode?")
            }
            Wanted::Header => {
                ("give SPS and PPS", "are width and height in [video] what this chip can encode?")
            }
            Wanted::Memory => (
                "allocate a picture",
                "the agent must be able to open /dev/dma_heap/* or /dev/dri/card0: add its user to the group that \
                 owns them",
            ),
            Wanted::Import => ("take a camera buffer", "the picture is copied instead"),
            Wanted::Encode => ("encode a picture", "`dmesg | grep mpp` tells what the driver saw"),
        };
        let verb = if matches!(wanted, Wanted::Setting(_)) { "set " } else { "" };
        write!(f, "MPP cannot {verb}{what}: {} ({code}); {advice}", Self::name(code))
    }
}

impl std::error::Error for MppError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_wish_the_code_and_the_next_step() {
        let words = MppError::Refused(Wanted::Memory, -4).to_string();
        assert!(words.starts_with("MPP cannot allocate a picture: MPP_ERR_MALLOC (-4);"), "{words}");
        assert!(words.contains("/dev/dma_heap"), "{words}");
        let words = MppError::Refused(Wanted::Setting("rc:gop"), -77).to_string();
        assert!(words.starts_with("MPP cannot set rc:gop: a code of its own (-77);"), "{words}");
        let words = MppError::Stalled(Duration::from_secs(1)).to_string();
        assert!(words.contains("1000 ms") && words.contains("dmesg"), "{words}");
    }
}
