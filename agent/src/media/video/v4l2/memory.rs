//! The memory of a queue's buffers, mapped, and who may touch it: the driver, or one owner in the agent.

#![allow(unsafe_code)]

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    ptr::{self, NonNull},
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::error::{Error, Result};

/// A plane of a buffer, mapped; unmapped on drop.
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory belongs to the process, not to a thread, and is reached through `Claim` alone.
unsafe impl Send for Mapping {}
// SAFETY: as above; `Claim` lends it shared for reading, and for writing only through `&mut`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps what the driver says is at `offset`.
    pub fn new(fd: BorrowedFd<'_>, offset: u32, length: u32) -> Result<Self> {
        let (protection, length) = (libc::PROT_READ | libc::PROT_WRITE, length as usize);
        // Whatever off_t is: with 32 bits, the kernel keeps its offsets within them.
        let offset = offset as libc::off_t;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours. A length of 0 is
        // refused by the kernel.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset)
        };
        if start == libc::MAP_FAILED {
            return Err(Error::of("mmap", &io::Error::last_os_error()));
        }
        let start = NonNull::new(start.cast()).ok_or(Error::new("mmap", libc::EFAULT))?;
        Ok(Self { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `new` mapped just this, and nobody borrows from it any more: borrows go through `&self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// One buffer's memory.
#[derive(Default)]
struct Slot {
    /// Empty in a queue of imported memory.
    mappings: Vec<Mapping>,
    exported: Vec<Option<OwnedFd>>,
    claimed: AtomicBool,
}

/// The memory of a queue's buffers.
#[derive(Default)]
pub struct Pool(Vec<Slot>);

impl Pool {
    /// Adds a buffer, which nobody has claimed yet.
    pub fn push(&mut self, mappings: Vec<Mapping>, exported: Vec<Option<OwnedFd>>) {
        self.0.push(Slot { mappings, exported, claimed: AtomicBool::new(false) });
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// How many are the driver's.
    pub fn released(&self) -> u32 {
        self.0.iter().filter(|slot| !slot.claimed.load(Ordering::Acquire)).count() as u32
    }

    /// Makes a buffer that was the driver's the agent's. `None` if there is no such buffer or the agent has it.
    pub fn claim(self: &Arc<Self>, index: u32) -> Option<Claim> {
        let slot = self.0.get(index as usize)?;
        let was_claimed = slot.claimed.swap(true, Ordering::AcqRel);
        (!was_claimed).then(|| Claim { pool: self.clone(), index })
    }
}

/// A buffer that the agent has: there is one claim of it at most, and the driver does not touch it meanwhile. It is
/// kept from the driver also if it is dropped unreleased.
pub struct Claim {
    pool: Arc<Pool>,
    index: u32,
}

impl Claim {
    /// The buffer's place in its queue.
    pub fn index(&self) -> u32 {
        self.index
    }

    fn slot(&self) -> &Slot {
        &self.pool.0[self.index as usize]
    }

    /// How many planes are mapped.
    pub fn planes(&self) -> usize {
        self.slot().mappings.len()
    }

    /// All of a plane's memory; empty if it is not mapped.
    pub fn bytes(&self, plane: usize) -> &[u8] {
        let Some(mapping) = self.slot().mappings.get(plane) else { return &[] };
        // SAFETY: mapped for as long as the pool lives, which the claim keeps alive; page-aligned, of this length,
        // initialised by the kernel. Nobody writes: the driver was made to give the buffer up, and a `&mut` of it
        // comes from the one claim alone, which is borrowed.
        unsafe { slice::from_raw_parts(mapping.start.as_ptr(), mapping.length) }
    }

    /// All of a plane's memory, to be written; empty if it is not mapped.
    pub fn bytes_mut(&mut self, plane: usize) -> &mut [u8] {
        let Some(mapping) = self.slot().mappings.get(plane) else { return &mut [] };
        // SAFETY: as in `bytes`; the one claim is borrowed mutably, so nobody else reads.
        unsafe { slice::from_raw_parts_mut(mapping.start.as_ptr(), mapping.length) }
    }

    /// The plane as a DMABUF, if it was exported.
    pub fn dmabuf(&self, plane: usize) -> Option<BorrowedFd<'_>> {
        self.slot().exported.get(plane)?.as_ref().map(OwnedFd::as_fd)
    }

    /// Makes it the driver's, as the call that queued it has done.
    pub fn release(self) {
        self.slot().claimed.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer {} of {}", self.index, self.pool.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs::File, io::Write as _};

    use super::*;

    fn pool() -> Arc<Pool> {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(&[7; 4096]).unwrap();
        let mut pool = Pool::default();
        let exported = vec![Some(file.as_fd().try_clone_to_owned().unwrap())];
        pool.push(vec![Mapping::new(file.as_fd(), 0, 4096).unwrap()], exported);
        pool.push(Vec::new(), Vec::new());
        Arc::new(pool)
    }

    #[test]
    fn a_buffer_is_claimed_once_until_it_is_released() {
        let pool = pool();
        let claim = pool.claim(0).unwrap();
        assert!(pool.claim(0).is_none(), "two would have it");
        assert_eq!(pool.released(), 1);
        claim.release();
        assert!(pool.claim(0).is_some());
        assert!(pool.claim(2).is_none(), "there is no such buffer");
    }

    #[test]
    fn memory_is_read_and_written_through_its_claim_also_when_the_queue_is_gone() {
        let pool = pool();
        let mut claim = pool.claim(0).unwrap();
        drop(pool);
        assert_eq!(claim.bytes(0), [7; 4096]);
        claim.bytes_mut(0)[4095] = 8;
        assert_eq!(claim.bytes(0)[4094..], [7, 8]);
        assert!(claim.bytes(1).is_empty() && claim.dmabuf(0).is_some() && claim.dmabuf(1).is_none());
    }

    #[test]
    fn what_cannot_be_mapped_is_an_error() {
        let file: File = tempfile::tempfile().unwrap();
        let error = Mapping::new(file.as_fd(), 0, 0).err().map(|error| (error.call, error.errno));
        assert_eq!(error, Some(("mmap", libc::EINVAL)));
    }
}
