//! What one input costs in memory at its peak.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Carries out `work` and fails if it held more than `bytes_max` at once beyond what was there before. Only meaningful while no
/// other thread works.
pub fn bounded<T>(bytes_max: usize, work: impl FnOnce() -> T) -> T {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = work();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(peak <= bytes_max, "{peak} bytes at the peak, at most {bytes_max} are promised");
    result
}
