//! Model folders, local or from the hub.
