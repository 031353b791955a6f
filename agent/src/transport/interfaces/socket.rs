//! A socket to the kernel's routing (netlink(7), `NETLINK_ROUTE`) that nobody blocks on.

use std::{io, os::fd::OwnedFd};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recvfrom,
    sendto, socket_with,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Port 0 is the kernel's; as the own one it lets the kernel choose.
const KERNEL: u32 = 0;

/// See the module's documentation.
pub(super) struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    /// Opens one that hears of what the multicast groups are for, a mask of `RTMGRP_...`.
    pub fn open(groups: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol is number 0, NETLINK_ROUTE.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(KERNEL, groups))?;
        // SAFETY: an OwnedFd is open as long as it lives, and nothing replaces this one.
        #[allow(unsafe_code)]
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self(socket))
    }

    /// Sends the kernel a message.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        sendto(self.0.get_ref(), message, SendFlags::empty(), &SocketAddrNetlink::new(KERNEL, 0))?;
        Ok(())
    }

    /// Waits for a datagram of the kernel's. Its length is more than the buffer's if it was cut off.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // The kernel has answered a question when it is sent, which the runtime learns only later.
        match self.receive_now(buffer) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.0.async_io(Interest::READABLE, |socket| receive(socket, buffer)).await
            }
            now => now,
        }
    }

    /// The same for one that is there; an error of the kind `WouldBlock` if none is.
    pub fn receive_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self.0.get_ref(), buffer)
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        let (_, length, sender) = recvfrom(socket, &mut *buffer, RecvFlags::TRUNC)?;
        // Other processes of root could send something too.
        let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
        if sender.is_some_and(|sender| sender.pid() == KERNEL) {
            return Ok(length);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::{io::Errno, net::getsockname};

    use super::*;

    #[tokio::test]
    async fn what_others_than_the_kernel_send_is_passed_over() {
        let [socket, other] = [(); 2].map(|()| Socket::open(0).unwrap());
        let own = SocketAddrNetlink::try_from(getsockname(socket.0.get_ref()).unwrap()).unwrap();
        match sendto(other.0.get_ref(), b"not the kernel's", SendFlags::empty(), &own) {
            Err(Errno::PERM) => return println!("not run: sending to another process needs root"),
            sent => assert_eq!(sent.unwrap(), 16),
        }
        let error = socket.receive_now(&mut [0; 64]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
