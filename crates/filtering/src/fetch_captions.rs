//! Subtitle tracks through yt-dlp.
