//! Requests to the kernel about links (rtnetlink(7)), from whatever namespace a thread is in.

use std::{future::Future, io};

use rtnetlink::Handle;

/// Runs requests in the namespace of this thread.
pub fn here<T, F: Future<Output = io::Result<T>>>(job: impl FnOnce(Handle) -> F) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let result = job(handle).await;
        connection.abort();
        result
    })
}

/// The kernel's own error where there is one, so that its number can be asked for.
pub fn plain(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}
