//! The declaration of a row type.

use std::fmt::Debug;

use super::{ArrowArray, BadColumn, ColumnKind, Frame};

/// One column of a row type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name in the file.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnKind,
    /// Whether values may be absent.
    pub nullable: bool,
    /// What it holds, with its unit.
    pub doc: &'static str,
}

/// A row type: a fixed list of typed columns. Declared with [`row!`](crate::row).
pub trait Row: Debug + Sized + Send + Sync + 'static {
    /// The name of the table in messages and in `docs/formats.md`.
    const TABLE: &'static str;
    /// What one row is.
    const DOC: &'static str;
    /// The columns, in file order.
    const COLUMNS: &'static [ColumnSpec];
    /// A row whose texts are borrowed.
    type Ref<'a>: Copy + Debug + PartialEq;
    /// The columns of some rows that were read.
    type Columns: Columns<Row = Self> + Debug + 'static;
    /// The columns of some rows that will be written.
    type Buffers: Default + Send;

    /// This row, borrowed.
    fn as_row(&self) -> Self::Ref<'_>;
    /// An owned row.
    fn from_row(row: Self::Ref<'_>) -> Self;
    /// Appends one row to buffers.
    fn push(buffers: &mut Self::Buffers, row: Self::Ref<'_>);
    /// Appends placeholder values for an absent row, where rows are the structs of a column.
    #[doc(hidden)]
    fn push_placeholder(buffers: &mut Self::Buffers);
    /// Empties the buffers into arrays for the Parquet library, one for each column.
    #[doc(hidden)]
    fn finish(buffers: &mut Self::Buffers) -> Vec<ArrowArray>;
}

/// The columns of some rows of one type.
pub trait Columns: Sized + Send + Sync {
    /// The row type.
    type Row: Row<Columns = Self>;
    /// Takes the columns of the row type out of a frame; other columns are ignored.
    ///
    /// # Errors
    /// A column is missing, has another type, or lacks values.
    fn open(frame: &Frame) -> Result<Self, BadColumn>;
    /// Number of rows.
    fn len(&self) -> usize;
    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Row `i`; panics beyond [`Columns::len`].
    fn get(&self, i: usize) -> <Self::Row as Row>::Ref<'_>;
}

/// Declares a row type: its struct, the same with borrowed texts, its columns as read, and its
/// columns to be written. Every column needs a doc line, which becomes part of `docs/formats.md`.
///
/// A table may hold more columns than the row type names, so a step that needs two columns of a
/// wide table declares a row type of those two and reads nothing else.
///
/// Columns are numbers, booleans and texts, lists of them (`Vec<T>`) and structs, each with `Option` where values may
/// be absent. A struct is declared like a table, but without the line that names one.
///
/// ```
/// audsem_core::row! {
///     table "cue texts";
///     /// The text of a cue.
///     pub struct CueText / CueTextRef / CueTextColumns / CueTextBuffers {
///         /// The caption.
///         pub text: String,
///     }
/// }
///
/// audsem_core::row! {
///     /// How sure a network is of a label.
///     pub struct LabelProb / LabelProbRef / LabelProbColumns / LabelProbBuffers {
///         /// The label.
///         pub label: String,
///         /// Its probability.
///         pub prob: f32,
///     }
/// }
///
/// audsem_core::row! {
///     table "clip tags";
///     /// The labels of a clip.
///     pub struct ClipTags / ClipTagsRef / ClipTagsColumns / ClipTagsBuffers {
///         /// The clip's tar key.
///         pub key: String,
///         /// The labels, the most probable first; absent where the network failed.
///         pub tags: Option<Vec<LabelProb>>,
///     }
/// }
/// use audsem_core::tables::Row;
/// assert_eq!(ClipTags::COLUMNS[1].kind.to_string(), "list<struct<label: string, prob: f32>>");
/// ```
#[macro_export]
macro_rules! row {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $Row:ident / $Ref:ident / $Columns:ident / $Buffers:ident {
            $( $(#[doc = $fdoc:literal])* pub $field:ident : $ty:ty, )+
        }
    ) => {
        $crate::row! {
            @declare stringify!($Row);
            $(#[doc = $doc])*
            $vis struct $Row / $Ref / $Columns / $Buffers {
                $( $(#[doc = $fdoc])* pub $field : $ty, )+
            }
        }
    };
    (
        table $table:literal;
        $(#[doc = $doc:literal])*
        $vis:vis struct $Row:ident / $Ref:ident / $Columns:ident / $Buffers:ident {
            $( $(#[doc = $fdoc:literal])* pub $field:ident : $ty:ty, )+
        }
    ) => {
        $crate::row! {
            @declare $table;
            $(#[doc = $doc])*
            $vis struct $Row / $Ref / $Columns / $Buffers {
                $( $(#[doc = $fdoc])* pub $field : $ty, )+
            }
        }
    };
    (
        @declare $table:expr;
        $(#[doc = $doc:literal])*
        $vis:vis struct $Row:ident / $Ref:ident / $Columns:ident / $Buffers:ident {
            $( $(#[doc = $fdoc:literal])* pub $field:ident : $ty:ty, )+
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $Row {
            $( $(#[doc = $fdoc])* pub $field: $ty, )+
        }

        #[doc = concat!("A [`", stringify!($Row), "`] with borrowed texts and lists.")]
        #[derive(Debug, Clone, Copy, PartialEq)]
        $vis struct $Ref<'a> {
            $( $(#[doc = $fdoc])* pub $field: <$ty as $crate::tables::Cell>::Ref<'a>, )+
        }

        #[doc = concat!("Many [`", stringify!($Row), "`] that were read, by column.")]
        #[derive(Debug)]
        $vis struct $Columns {
            $( $(#[doc = $fdoc])* pub $field: <$ty as $crate::tables::Cell>::Column, )+
            len: usize,
        }

        #[doc = concat!("Many [`", stringify!($Row), "`] to be written, by column.")]
        #[derive(Default)]
        $vis struct $Buffers {
            $( $field: <$ty as $crate::tables::Cell>::Buffer, )+
        }

        impl $crate::tables::Row for $Row {
            const TABLE: &'static str = $table;
            const DOC: &'static str = concat!($($doc, "\n"),*);
            const COLUMNS: &'static [$crate::tables::ColumnSpec] = &[
                $( $crate::tables::ColumnSpec {
                    name: stringify!($field),
                    kind: <$ty as $crate::tables::Cell>::KIND,
                    nullable: <$ty as $crate::tables::Cell>::NULLABLE,
                    doc: concat!($($fdoc, "\n"),*),
                }, )+
            ];
            type Ref<'a> = $Ref<'a>;
            type Columns = $Columns;
            type Buffers = $Buffers;

            fn as_row(&self) -> $Ref<'_> {
                $Ref { $( $field: $crate::tables::Cell::as_cell(&self.$field), )+ }
            }

            fn from_row(row: $Ref<'_>) -> Self {
                Self { $( $field: <$ty as $crate::tables::Cell>::from_cell(row.$field), )+ }
            }

            fn push(buffers: &mut $Buffers, row: $Ref<'_>) {
                $( <$ty as $crate::tables::Cell>::push(&mut buffers.$field, row.$field); )+
            }

            fn push_placeholder(buffers: &mut $Buffers) {
                $( <$ty as $crate::tables::Cell>::push_placeholder(&mut buffers.$field); )+
            }

            fn finish(buffers: &mut $Buffers) -> Vec<$crate::tables::ArrowArray> {
                vec![ $( <$ty as $crate::tables::Cell>::finish(&mut buffers.$field), )+ ]
            }
        }

        impl $crate::tables::Columns for $Columns {
            type Row = $Row;

            fn open(frame: &$crate::tables::Frame) -> Result<Self, $crate::tables::BadColumn> {
                Ok(Self {
                    $( $field: frame.column::<$ty>(stringify!($field))?, )+
                    len: frame.len(),
                })
            }

            fn len(&self) -> usize {
                self.len
            }

            fn get(&self, i: usize) -> $Ref<'_> {
                $Ref { $( $field: <$ty as $crate::tables::Cell>::get(&self.$field, i), )+ }
            }
        }
    };
}
