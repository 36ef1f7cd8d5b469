//! Media files as inputs of ffmpeg and ffprobe.
//!
//! Both programs detect the format from the first bytes, not from the name. An HLS, DASH, ffconcat or SDP text with the
//! name `clip.mp4` makes them open the files and addresses that it lists, so an attacker could have any file of this
//! machine decoded into a clip. So only self-contained formats may be opened, and only from files.

use super::{Call, MediaError};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// Self-contained formats, by ffmpeg's names. Formats that open other files are left out on purpose: `hls`,
/// `dash`, `concat`, `concatf`, `imf`, `sdp`, `rtsp`, `rtp`, `webm_dash_manifest`, `image2`, `vobsub`, `avs`, `lavfi`, and
/// every device.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,kux,asf,asf_o,mpegts,mpeg,mpegvideo,m4v,\
    h264,hevc,vc1,av1,obu,ivf,mjpeg,ogg,flac,mp3,aac,wav,w64,aiff,caf,au,ac3,eac3,dts,dtshd,truehd,mlp,amr,amrnb,amrwb,\
    ape,wv,tta,tak,oma,aa,aax,rm,mxf,gxf,nut,dv,swf,wtv,mpc,mpc8,shn,voc,xwma,xa,dsf,iff,loas,sox,ircam,nistsphere,qcp,\
    vivo,nsv,nuv,dxa,smk,bink,roq,film_cpk,avr,pvf,sds,sln,rso,vqf,yuv4mpegpipe";

/// The file at standard input, opened again, so that it is seekable.
pub(super) const STDIN: &str = "/dev/fd/0";

impl Call<'_> {
    /// Adds a media file of the disk as the next input of ffmpeg, or as that of ffprobe.
    pub fn input(self, file: impl AsRef<Path>) -> Self {
        // With the protocol in front, a file name is never parsed as an address or an option.
        let mut address = OsString::from("file:");
        address.push(file.as_ref());
        self.args(["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i"]).arg(address)
    }

    /// Adds media held in memory as the next input; at most once per call. They are written to an unnamed file in
    /// `folder`, because reading MP4 needs seeking: nothing remains of it when a process is killed, and an error of the
    /// input disk cannot be mistaken for damaged media.
    ///
    /// # Errors
    /// [`MediaError::Temporary`] if the file cannot be written.
    pub fn input_bytes(self, bytes: &[u8], folder: &Path) -> Result<Self, MediaError> {
        let made = || -> std::io::Result<File> {
            let mut file = tempfile::tempfile_in(folder)?;
            file.write_all(bytes)?;
            file.rewind()?;
            Ok(file)
        };
        let tool = self.tool();
        let file = made().map_err(|source| MediaError::Temporary { tool, folder: folder.to_owned(), source })?;
        Ok(self.stdin_file(file).input(STDIN))
    }
}

/// Where a program that this one starts finds a file that this one has open.
pub(crate) fn address_of(file: &File) -> String {
    format!("file:/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}
