//! Which loudspeaker each channel is for.

use std::fmt;

use audsem_core::terminal::counted;

/// The channels of a sound, in the order they are interleaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelLayout {
    /// Loudspeaker positions as bits of the mask that `WAVEFORMATEXTENSIBLE` defines (bit 0 front
    /// left, 1 front right, 2 front centre, 3 low frequency, 4 and 5 back, …); channels are ordered
    /// by bit.
    Speakers(u32),
    /// This many channels of unknown meaning.
    Discrete(u16),
}

impl ChannelLayout {
    /// Front left.
    pub const FRONT_LEFT: u32 = 1 << 0;
    /// Front right.
    pub const FRONT_RIGHT: u32 = 1 << 1;
    /// Front centre, which is also what a single channel is.
    pub const FRONT_CENTRE: u32 = 1 << 2;
    /// Low-frequency effects.
    pub const LOW_FREQUENCY: u32 = 1 << 3;
    /// Back left.
    pub const BACK_LEFT: u32 = 1 << 4;
    /// Back right.
    pub const BACK_RIGHT: u32 = 1 << 5;
    /// Between front left and centre.
    pub const FRONT_LEFT_OF_CENTRE: u32 = 1 << 6;
    /// Between front right and centre.
    pub const FRONT_RIGHT_OF_CENTRE: u32 = 1 << 7;
    /// Back centre.
    pub const BACK_CENTRE: u32 = 1 << 8;
    /// Left side.
    pub const SIDE_LEFT: u32 = 1 << 9;
    /// Right side.
    pub const SIDE_RIGHT: u32 = 1 << 10;

    /// One channel.
    pub const MONO: ChannelLayout = ChannelLayout::Speakers(Self::FRONT_CENTRE);
    /// Left and right.
    pub const STEREO: ChannelLayout = ChannelLayout::Speakers(Self::FRONT_LEFT | Self::FRONT_RIGHT);

    /// What `channels` channels mean when nothing else is known: ffmpeg's default layouts
    /// (`av_channel_layout_default`): mono, stereo, 2.1, 4.0, 5.0, 5.1, 6.1, 7.1.
    pub fn from_count(channels: u16) -> ChannelLayout {
        let front = Self::FRONT_LEFT | Self::FRONT_RIGHT;
        let back = Self::BACK_LEFT | Self::BACK_RIGHT;
        let side = Self::SIDE_LEFT | Self::SIDE_RIGHT;
        match channels {
            1 => ChannelLayout::MONO,
            2 => ChannelLayout::STEREO,
            3 => ChannelLayout::Speakers(front | Self::LOW_FREQUENCY),
            4 => ChannelLayout::Speakers(front | Self::FRONT_CENTRE | Self::BACK_CENTRE),
            5 => ChannelLayout::Speakers(front | Self::FRONT_CENTRE | back),
            6 => ChannelLayout::Speakers(front | Self::FRONT_CENTRE | Self::LOW_FREQUENCY | back),
            7 => ChannelLayout::Speakers(front | Self::FRONT_CENTRE | Self::LOW_FREQUENCY | Self::BACK_CENTRE | side),
            8 => ChannelLayout::Speakers(front | Self::FRONT_CENTRE | Self::LOW_FREQUENCY | back | side),
            other => ChannelLayout::Discrete(other),
        }
    }

    /// The layout with this mask if it names exactly `channels` loudspeakers, else the default one.
    pub fn from_mask(mask: u32, channels: u16) -> ChannelLayout {
        if mask.count_ones() == u32::from(channels) {
            ChannelLayout::Speakers(mask)
        } else {
            ChannelLayout::from_count(channels)
        }
    }

    /// Number of channels.
    pub fn channels(self) -> usize {
        match self {
            ChannelLayout::Speakers(mask) => mask.count_ones() as usize,
            ChannelLayout::Discrete(channels) => usize::from(channels),
        }
    }
}

impl fmt::Display for ChannelLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelLayout::Speakers(_) if self.channels() == 1 => f.write_str("mono"),
            &ChannelLayout::STEREO => f.write_str("stereo"),
            ChannelLayout::Speakers(mask) => write!(f, "{} channels (mask {mask:#x})", self.channels()),
            ChannelLayout::Discrete(channels) => f.write_str(&counted(*channels, "channels")),
        }
    }
}
