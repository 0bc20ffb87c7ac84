//! Plain data in, bytes out. One report shows both verdicts of a Seedstorm run: does the cluster stay
//! correct when everything goes wrong, and how much load does it carry? Nothing here reads a clock,
//! opens a file or knows where the data came from; the caller writes the bytes where it wants them.
//!
//! Reading order:
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | the data; its JSON form is `report.json` |
//! | [`verdict`] | what the data amounts to, and the exit code |
//! | [`json`], [`junit`], [`markdown`], [`terminal`], [`html`] | one form each |
//! | `folded` | results of long campaigns, taken in one by one |
//! | `totals`, `format` | sums and number formats that the forms share |
//! | `sample` | an invented report, for tests and for looking at the page |

pub mod model;
pub mod verdict;

pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod terminal;

mod folded;
mod format;
mod totals;

#[doc(hidden)]
pub mod sample;
