//! How a board of a labgrid place is got.

use std::path::PathBuf;

use crate::board::{BoardError, BoardOptions, settings::Picture};

/// What can be said about it. All but the place has a default that does for a place that is set up as docs/labgrid.md
/// says.
#[derive(Clone, Debug)]
pub struct LabgridOptions {
    /// Name of the place, or a part of it that no other place has.
    pub place: String,
    /// Address of the coordinator, `HOST:PORT`; none: labgrid's own choice (`LG_COORDINATOR`, then 127.0.0.1:20408).
    pub coordinator: Option<String>,
    /// labgrid-client; none: on PATH, or where hil/labgrid/bench puts it.
    pub client: Option<PathBuf>,
    /// Private key for SSH to the board; none: what SSH finds itself.
    pub key: Option<PathBuf>,
    /// This machine's network interface that leads to the board; none: the NetworkInterface of the place.
    pub interface: Option<String>,
    /// An image that is written to the place's card or storage before the first start.
    pub image: Option<PathBuf>,
    /// An agent that was built for the board, which is put onto it; none: the board has one.
    pub agent: Option<PathBuf>,
    /// What is shown if the scenario does not say.
    pub picture: Picture,
    /// The top of the source tree.
    pub tree: PathBuf,
    /// A folder for what the board needs while it runs.
    pub folder: PathBuf,
}

impl LabgridOptions {
    /// From those of all boards.
    ///
    /// # Errors
    /// No place is named.
    pub fn new(options: &BoardOptions) -> Result<Self, BoardError> {
        let place = options.place.clone().filter(|place| !place.is_empty()).ok_or_else(|| {
            BoardError::Unavailable(
                "a labgrid board takes the name of its place; `labgrid-client places` lists them (docs/labgrid.md)".into(),
            )
        })?;
        Ok(Self {
            place,
            coordinator: options.coordinator.clone(),
            client: None,
            key: options.key.clone(),
            interface: options.interface.clone(),
            image: options.image.clone(),
            agent: options.board_agent.clone(),
            // What every board can encode, the emulated one too.
            picture: Picture::EMULATED,
            tree: options.tree.clone(),
            folder: options.folder.clone(),
        })
    }
}
