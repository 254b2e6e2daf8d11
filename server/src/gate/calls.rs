//! How many calls each device has under way. What a call takes (a page of the lane is a megabyte before anybody has taken it) and how long the
//! others then wait is bounded by how many there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use porchlight_proto::line::DeviceId;

use crate::forget::forget;

/// Calls of one device at once: its watch waits with one and posts with another, and commands run beside it.
const AT_ONCE: usize = 16;

/// The calls under way, by device.
#[derive(Default)]
pub struct Calls {
    of: Mutex<HashMap<DeviceId, usize>>,
}

/// A call that is under way, until it is dropped: not when whoever called hangs up, but when what it set going is done.
pub struct Under {
    calls: Arc<Calls>,
    device: DeviceId,
}

impl Calls {
    fn of(&self) -> MutexGuard<'_, HashMap<DeviceId, usize>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call, if the device has not too many.
    #[must_use]
    pub fn begin(self: &Arc<Self>, device: DeviceId) -> Option<Arc<Under>> {
        let mut of = self.of();
        let count = of.entry(device).or_default();
        if *count >= AT_ONCE {
            return None;
        }
        *count += 1;
        drop(of);
        Some(Arc::new(Under { calls: Arc::clone(self), device }))
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        let mut of = self.calls.of();
        let left = of.get(&self.device).map_or(0, |count| count - 1);
        if left == 0 {
            forget(&mut of, |device, _| *device != self.device);
        } else {
            of.insert(self.device, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_has_sixteen_calls_at_once_and_the_others_have_theirs() {
        let (calls, one, other) = (Arc::new(Calls::default()), DeviceId([1; 8]), DeviceId([2; 8]));
        let mut under: Vec<_> = (0..AT_ONCE).map(|_| calls.begin(one).unwrap()).collect();
        assert!(calls.begin(one).is_none());
        assert!(calls.begin(other).is_some());
        under.pop();
        assert!(calls.begin(one).is_some());
        under.clear();
        assert!(calls.of().is_empty(), "nobody is remembered");
    }
}
