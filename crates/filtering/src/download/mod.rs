//! Clip media through yt-dlp or from a folder.
