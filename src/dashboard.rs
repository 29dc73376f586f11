//! The dashboard at `/dashboard/`: pages that are rendered here, their style and scripts, and the stream that keeps them live.
//!
//! A page shows its numbers in the HTML that it is sent with. `assets/app.js` then follows `GET /api/ui/stream`: it writes the
//! numbers of each `tick` into elements with `data-live`, and when requests have ended it fetches the page again and brings
//! every element with `data-panel` up to date in place, so that sorting, filters, open sections and scrolling stay.
//!
//! # To add a page
//!
//! 1. `pages/NAME.rs`: a view model that implements `Serialize`, a template struct (`#[derive(Template)] #[template(path =
//!    "NAME.html")]`) with a field `shell: &Shell`, and `pub(super) const PAGE: Page`. `pages/overview.rs` is the model to follow.
//!    Numbers in a view model have a type of `units.rs`: JSON has the raw number, HTML the readable one.
//! 2. `templates/NAME.html`: extends `base.html` and fills `content`. The classes are those of `assets/app.css`, one section
//!    a component: `tile`, `panel`, `table.data`, `badge`, `empty`, `chip`, `split`, `dialog`, `form`. A table with `data-table`
//!    sorts and filters, and a button with `data-csv="TABLE-ID"` saves it; a cell with `data-value` sorts by that number. A row that
//!    is updated in place needs a `data-key` that names it.
//! 3. `pages.rs`: add `PAGE` to `PAGES`; the navigation, the routes and the tests of every page follow. No new route is needed.
//! 4. A script of its own: `assets/NAME.js`, added to `assets.rs` and to `Page::scripts`. It imports from `./app.js`: `onStream`
//!    (events of the stream), `onUpdate` (after a panel was brought up to date), `post` (an action; it sends JSON with the session and
//!    checks the origin), `toast`, `confirmAction`, `openPanel`, `number`, `duration`, `bytes`, `money`, `ago`, `queryState`. No inline
//!    script and no inline style: the Content-Security-Policy forbids both.
//!
//! An action is a `POST` to an endpoint of the class `admin` in `src/api/routes.rs`: `Access::Admin` also accepts an admin session of
//! the dashboard. Show its control only if `shell.is_admin`.

mod assets;
mod chart;
mod gather;
mod login_page;
mod page;
mod pages;
mod present;
mod respond;
mod stream;
mod units;
mod viewer;

pub(crate) use self::assets::asset;
pub(crate) use self::login_page::{form, log_in, log_out};
pub(crate) use self::pages::{refused, show, snapshot};
pub(crate) use self::stream::follow;
pub(crate) use self::viewer::{Permission, Viewer, is_own_request, session_cookie};
