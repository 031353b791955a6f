//! Makes the kernel forget the connections of a namespace, as `conntrack -F` does (nfnetlink, ctnetlink).

use std::io;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_DELETE`: without a tuple, all of them.
const DELETE: u16 = 1 << 8 | 2;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const FLAGS: u16 = 1 | 4;
/// `NLMSG_ERROR`, which also acknowledges.
const ERROR: u16 = 2;
const HEADER: usize = 16;

/// Forgets all, of every protocol, in the namespace of the calling thread.
pub(super) fn flush() -> io::Result<()> {
    let socket = Socket::new(NETLINK_NETFILTER)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(), 0)?;
    let mut answer = Vec::with_capacity(128);
    socket.recv(&mut answer, 0)?;
    match result(&answer) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::other("the kernel's answer cannot be read")),
    }
}

/// A netlink header (netlink(7)), then family (any), version and resource of nfnetlink.
fn request() -> Vec<u8> {
    let length = (HEADER + 4) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(DELETE.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    // Sequence and port of the sender, which nobody asks for.
    message.extend([0; 8]);
    message.extend([0; 4]);
    message
}

/// The error code of an acknowledgement: zero or a negative errno.
fn result(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(HEADER..HEADER + 4)?.try_into().ok()?);
    (kind == ERROR).then_some(code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_an_acknowledgement_has_a_result() {
        let answer = |kind: u16, code: i32| {
            [&36u32.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], &code.to_ne_bytes()].concat()
        };
        assert_eq!(result(&answer(ERROR, 0)), Some(0));
        assert_eq!(result(&answer(ERROR, -libc::EPERM)), Some(-libc::EPERM));
        assert_eq!(result(&answer(3, 0)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let result = result(&bytes);
            prop_assert!(result.is_none() || bytes.len() >= HEADER + 4);
        }
    }
}
