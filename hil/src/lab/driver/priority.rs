//! Lets the thread that calls run before others: a line of 20 ms is only as exact as its thread is punctual.
#![allow(unsafe_code)]

/// Just above the ordinary programs, below whatever the machine's owner made real-time.
const PRIORITY: libc::c_int = 1;
/// Where real-time scheduling is not allowed.
const NICE: libc::c_int = -10;

/// Asks for real-time scheduling (sched(7)), or else for a good nice value. Where neither is allowed all stays as it
/// was.
pub fn raise() {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: 0 names the calling thread, and the kernel only reads the parameters, which live until it returns.
    let refused = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) } != 0;
    if refused {
        // SAFETY: takes plain numbers; on Linux 0 names the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    }
}
