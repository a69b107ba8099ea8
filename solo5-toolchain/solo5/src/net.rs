//! Network devices: Ethernet frames in, Ethernet frames out.

use core::mem::MaybeUninit;

use solo5_sys::{
    SOLO5_NET_HLEN, solo5_net_acquire, solo5_net_info, solo5_net_read, solo5_net_write,
    solo5_result_t,
};

use crate::device::{AcquireError, Handle, Owned};

/// Bytes of an Ethernet header, which an MTU does not count.
const HEADER_LEN: usize = SOLO5_NET_HLEN as usize;
/// Bytes by which a frame may be longer: an 802.1Q tag, as the MTUs of hosts have it.
const TAG_LEN: usize = 4;

/// Properties of a network device. They do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetInfo {
    /// The Ethernet address that the unikernel should use.
    pub mac: [u8; 6],
    /// Largest payload of a frame in bytes, without the 14 bytes of its Ethernet header.
    pub mtu: usize,
}

impl NetInfo {
    /// Largest frame in bytes, Ethernet header included.
    #[must_use]
    pub const fn max_frame_len(&self) -> usize {
        self.mtu.saturating_add(HEADER_LEN)
    }
}

/// Why no frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The frame is shorter than an Ethernet header, or longer than the device takes, a tag (IEEE
    /// 802.1Q) included. The host was not asked.
    #[error("a frame has {HEADER_LEN} to {max} bytes, not {got}")]
    FrameLen {
        /// Length of the frame in bytes.
        got: usize,
        /// [`NetInfo::max_frame_len`] of the device, and four bytes more.
        max: usize,
    },
    /// The host did not take the frame: its queue is full, or the interface is down. As good as
    /// lost on the wire; sending again later may succeed.
    #[error("the host did not take the frame")]
    Host,
}

/// Why no frame could be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The buffer cannot hold every frame that the device may have. No frame was consumed.
    #[error("the buffer has {got} bytes but a frame may have {want}")]
    BufferLen {
        /// Length of the buffer in bytes.
        got: usize,
        /// [`NetInfo::max_frame_len`] of the device.
        want: usize,
    },
    /// The host failed; for example, the interface is gone.
    #[error("the host could not read a frame")]
    Host,
}

/// A network device that belongs to the holder of this value.
#[derive(Debug)]
pub struct Net {
    device: Owned,
    info: NetInfo,
}

impl Net {
    /// Acquires the device that the manifest calls `name`, of type `NET_BASIC`.
    ///
    /// Dropping the value gives the device back.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`].
    pub fn acquire(name: &str) -> Result<Self, AcquireError> {
        let mut info = MaybeUninit::<solo5_net_info>::zeroed();
        let device = Owned::acquire(name, |name, handle| {
            // SAFETY: the name is NUL terminated, and both outputs may be written.
            unsafe { solo5_net_acquire(name, handle, info.as_mut_ptr()) }
        })?;
        // SAFETY: all zeroes is a value of this type, and so is what the bindings made of it.
        let info = unsafe { info.assume_init() };
        let info = NetInfo {
            mac: info.mac_address,
            mtu: info.mtu,
        };
        Ok(Self { device, info })
    }

    /// The device's properties.
    #[must_use]
    pub const fn info(&self) -> &NetInfo {
        &self.info
    }

    /// What [`yield_until`](crate::yield_until) calls this device.
    #[must_use]
    pub const fn handle(&self) -> Handle {
        self.device.handle()
    }

    /// Sends a frame: Ethernet header and payload, no checksum (FCS). Does not wait. A frame with an
    /// 802.1Q tag may be four bytes longer than others.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]; the frame was not sent.
    pub fn write(&mut self, frame: &[u8]) -> Result<(), WriteError> {
        let max = self.info.max_frame_len().saturating_add(TAG_LEN);
        if !(HEADER_LEN..=max).contains(&frame.len()) {
            let got = frame.len();
            return Err(WriteError::FrameLen { got, max });
        }
        let handle = self.handle().raw();
        // SAFETY: the bindings read `frame.len()` bytes of `frame`.
        match unsafe { solo5_net_write(handle, frame.as_ptr(), frame.len()) } {
            solo5_result_t::SOLO5_R_OK => Ok(()),
            _ => Err(WriteError::Host),
        }
    }

    /// Receives a frame into `buffer`, if one is there: its length, Ethernet header included, or
    /// `None`. Does not wait.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. The content of `buffer` is unspecified then.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, ReadError> {
        let want = self.info.max_frame_len();
        if buffer.len() < want {
            let got = buffer.len();
            return Err(ReadError::BufferLen { got, want });
        }
        let handle = self.handle().raw();
        let mut len = 0;
        // SAFETY: the bindings write at most `buffer.len()` bytes to `buffer`, and `len`.
        match unsafe { solo5_net_read(handle, buffer.as_mut_ptr(), buffer.len(), &mut len) } {
            solo5_result_t::SOLO5_R_OK if len <= buffer.len() => Ok(Some(len)),
            solo5_result_t::SOLO5_R_AGAIN => Ok(None),
            _ => Err(ReadError::Host),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::fake::World;
    use crate::yield_until;

    #[test]
    fn a_frame_goes_out_as_it_is_and_another_comes_in() {
        let world = World::new();
        let mut net = Net::acquire("service").unwrap();
        assert_eq!(net.info().mac, [2, 0, 0, 0, 0, 1]);
        assert_eq!((net.info().mtu, net.info().max_frame_len()), (1500, 1514));

        net.write(&[7; 60]).unwrap();
        assert_eq!(world.sent(), [vec![7; 60]]);

        let mut buffer = [0; 1514];
        assert_eq!(net.read(&mut buffer), Ok(None));
        world.arrives(&[9; 14]);
        assert!(yield_until(0).contains(net.handle()));
        assert_eq!(net.read(&mut buffer), Ok(Some(14)));
        assert_eq!((buffer[13], buffer[14]), (9, 0));
        assert!(yield_until(0).is_empty());
    }

    #[test]
    fn frames_of_impossible_length_never_reach_the_host() {
        let world = World::new();
        let mut net = Net::acquire("service").unwrap();
        for got in [0, 13, 1519] {
            let max = 1518;
            let result = net.write(&vec![0; got]);
            assert_eq!(result, Err(WriteError::FrameLen { got, max }));
        }
        assert!(world.sent().is_empty());
        net.write(&[0; 14]).unwrap();
        net.write(&[0; 1518]).unwrap();
        assert_eq!(world.sent().len(), 2);
    }

    #[test]
    fn a_buffer_that_could_cut_a_frame_is_refused_and_the_frame_stays() {
        let world = World::new();
        let mut net = Net::acquire("service").unwrap();
        world.arrives(&[1; 20]);
        let (got, want) = (1513, 1514);
        assert_eq!(
            net.read(&mut [0; 1513]),
            Err(ReadError::BufferLen { got, want })
        );
        assert_eq!(net.read(&mut [0; 1514]), Ok(Some(20)));
    }

    #[test]
    fn a_failing_host_is_an_error_of_its_own() {
        let world = World::new();
        let mut net = Net::acquire("service").unwrap();
        world.host_fails();
        assert_eq!(net.write(&[0; 60]), Err(WriteError::Host));
        assert_eq!(net.read(&mut [0; 1514]), Err(ReadError::Host));
    }

    #[test]
    fn a_length_beyond_the_buffer_is_not_believed() {
        let world = World::new();
        let mut net = Net::acquire("service").unwrap();
        world.claims_frame_of(1515);
        assert_eq!(net.read(&mut [0; 1514]), Err(ReadError::Host));
    }

    #[test]
    fn a_device_has_one_owner_at_a_time() {
        let _world = World::new();
        let net = Net::acquire("service").unwrap();
        assert_eq!(Net::acquire("service").err(), Some(AcquireError::InUse));
        drop(net);
        assert!(Net::acquire("service").is_ok());
    }

    #[test]
    fn a_name_must_be_in_the_manifest_with_the_right_type() {
        let _world = World::new();
        for name in ["", "Service", "services", "storage"] {
            assert_eq!(Net::acquire(name).err(), Some(AcquireError::NoSuchDevice));
        }
    }
}
