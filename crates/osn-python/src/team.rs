//! Work on the threads of the OpenMP team that PyTorch computes with: the one file with `unsafe`.
//!
//! After each of PyTorch's own regions a thread of its team stays awake for some milliseconds, on a core that threads of ours
//! would wait for. So the team does our work.
#![expect(
    unsafe_code,
    reason = "a region is begun by a call of a foreign function; the proofs stand at each"
)]

use std::any::Any;
use std::ffi::{c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::vec;

/// `void GOMP_parallel (void (*fn) (void *), void *data, unsigned num_threads, unsigned flags)`: libgomp has it since GCC 4.9,
/// and libomp and libiomp5 have it for programs of GCC. Each thread of the team calls `fn(data)`; it returns when all have.
type GompParallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// An OpenMP runtime.
#[derive(Clone, Copy)]
pub(crate) struct Team(GompParallel);

impl Team {
    /// The runtime whose `GOMP_parallel` is at this address; `None` for 0.
    ///
    /// The caller found the address by that name, in a library that stays loaded: `osn.torch.team` alone calls this.
    pub(crate) fn at(address: usize) -> Option<Self> {
        if address == 0 {
            return None;
        }
        // SAFETY: a function pointer is as large as a `usize` on all platforms with an OpenMP runtime and may have any value
        // but 0; that this one is of the type is what the caller promises.
        Some(Self(unsafe { std::mem::transmute::<usize, GompParallel>(address) }))
    }

    /// Calls `work` on each job, on as many threads as PyTorch uses in a region that begins on this one. A thread takes the
    /// next job when it is done with one.
    ///
    /// # Panics
    ///
    /// If `work` does, on whichever thread.
    pub(crate) fn each<T: Send>(self, jobs: Vec<T>, work: impl Fn(T) + Sync) {
        let region =
            Region { jobs: Mutex::new(jobs.into_iter()), work: &work, panic: Mutex::default() };
        let data = (&raw const region).cast_mut().cast();
        // SAFETY: `take_jobs::<T>` gets a pointer to a `Region<T>` that lives until the call returns, which is after the last
        // thread is done with it, and reads it only by `&`; it may be shared, as `T` is `Send` and `work` is `Sync`. Nothing
        // unwinds out of `take_jobs`. 0 threads means the default of the calling thread, as PyTorch set it.
        unsafe { (self.0)(take_jobs::<T>, data, 0, 0) };
        let panic = region.panic.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// What the threads of a region share.
struct Region<'a, T> {
    jobs: Mutex<vec::IntoIter<T>>,
    work: &'a (dyn Fn(T) + Sync),
    /// What the last thread that panicked said.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<T> Region<'_, T> {
    fn next(&self) -> Option<T> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

/// The part of one thread.
extern "C" fn take_jobs<T: Send>(region: *mut c_void) {
    // SAFETY: `Team::each` passes a `Region<T>` of the same `T`, which nobody has by `&mut` while threads are in here.
    let region = unsafe { &*region.cast::<Region<'_, T>>() };
    let all = || {
        while let Some(job) = region.next() {
            (region.work)(job);
        }
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(all)) {
        *region.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
    }
}
