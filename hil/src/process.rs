//! Programs that the rig starts: in a namespace, with their words in a file, gone when the rig is.
