//! Requests to the kernel about links (rtnetlink(7)), from whatever namespace a thread is in.

use std::{future::Future, io, thread};

use rtnetlink::Handle;

/// Runs requests in the namespace of this thread, also where tokio runs already: a thread of its own inherits the
/// namespace.
pub fn here<T: Send, F: Future<Output = io::Result<T>>>(
    job: impl FnOnce(Handle) -> F + Send,
) -> io::Result<T> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            let connection = tokio::spawn(connection);
            let result = job(handle).await;
            connection.abort();
            result
        })
    };
    thread::scope(|scope| {
        let thread = scope.spawn(run);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that asks the kernel panicked")))
    })
}

/// The kernel's own error where there is one, so that its number can be asked for.
pub fn plain(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}
