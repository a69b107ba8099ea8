//! What the user changes about a connection or a listener while it exists.

use crate::context::Context;
use crate::error::{BadHandle, SettingError};
use crate::socket::{SocketId, SocketKind};
use crate::tcp::Tcp;
use crate::tcp::settings::{TcpSetting, TcpSettings};
use crate::tcp::state::{State, TcbFlags};

impl Tcp {
    /// Changes one setting of a connection, or of a listener for the connections to come.
    pub(crate) fn set(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        setting: TcpSetting,
    ) -> Result<(), SettingError> {
        let stale = |BadHandle| SettingError::BadHandle;
        if id.kind() == SocketKind::Listener {
            let (index, listener) = self.listener(id).map_err(stale)?;
            let mut profile = *self.shared.profiles.get(listener.profile);
            profile.set(setting)?;
            let changed = self.shared.profiles.change(listener.profile, profile);
            let profile = changed.ok_or(SettingError::LimitReached)?;
            if let Some(listener) = self.listeners.get_mut(index) {
                listener.profile = profile;
            }
            return Ok(());
        }
        let (index, tcb) = self.connection(id).map_err(stale)?;
        let mut profile = *self.shared.profiles.get(tcb.profile);
        profile.set(setting)?;
        let changed = self.shared.profiles.change(tcb.profile, profile);
        let changed = changed.ok_or(SettingError::LimitReached)?;
        let Some(tcb) = self.connections.get_mut(index) else {
            return Err(SettingError::BadHandle);
        };
        tcb.profile = changed;
        tcb.flags.remove(TcbFlags::SETTINGS);
        tcb.flags |= profile.flags();
        match setting {
            TcpSetting::NoDelay(_) => tcb.flags |= TcbFlags::OUTPUT,
            TcpSetting::Cork(false) => {
                // What was held back goes now.
                if tcb.send.next.is_some() {
                    tcb.flags |= TcbFlags::PUSH | TcbFlags::OUTPUT;
                }
                if tcb.flags.contains(TcbFlags::CORK_WAIT) {
                    tcb.flags.remove(TcbFlags::CORK_WAIT);
                    tcb.restart_idle_timer(&self.shared, cx.now);
                }
            }
            TcpSetting::Cork(true) => {}
            TcpSetting::Keepalive(_) => {
                tcb.flags.remove(TcbFlags::KEEPALIVE_DUE);
                if !tcb.flags.contains(TcbFlags::CORK_WAIT) {
                    tcb.restart_idle_timer(&self.shared, cx.now);
                }
            }
            TcpSetting::Congestion(algorithm) => {
                let smss = tcb.smss();
                tcb.congestion = tcb.congestion.successor(algorithm, smss);
            }
            // More room for the peer, or for a writer that waits.
            TcpSetting::ReceiveBuffer(_) => {
                if tcb.window_update_is_due(&self.shared) {
                    tcb.flags |= TcbFlags::ACK_NOW | TcbFlags::OUTPUT;
                }
            }
            TcpSetting::SendBuffer(_) => {
                if tcb.flags.contains(TcbFlags::SEND_BLOCKED) && tcb.has_write_room(&self.shared) {
                    tcb.flags.remove(TcbFlags::SEND_BLOCKED | TcbFlags::STARVED);
                    tcb.flags |= TcbFlags::EVENT;
                }
            }
            TcpSetting::UserTimeout(_)
            | TcpSetting::ConnectTimeout(_)
            | TcpSetting::Linger(_)
            | TcpSetting::DelayedAck(_)
            | TcpSetting::TimeToLive(_)
            | TcpSetting::Dscp(_) => {}
        }
        if tcb.state != State::Closed {
            self.settle(cx, index);
        }
        Ok(())
    }

    /// The settings as they are now.
    pub(crate) fn settings(&self, id: SocketId) -> Result<TcpSettings, BadHandle> {
        let profile = match id.kind() {
            SocketKind::Listener => self.listener(id)?.1.profile,
            SocketKind::Connection | SocketKind::Udp => self.connection(id)?.1.profile,
        };
        Ok(self.shared.profiles.get(profile).settings())
    }
}
