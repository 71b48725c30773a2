// Times as people say them, in the browser's language.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });

/** Milliseconds by which the server's clock is ahead of the device's, which may be hours off. */
let ahead = 0;

/** Keeps what the server says that the time is. @param {number} now */
export const keepClock = (now) => { ahead = now - Date.now(); };
/** The time by the server's clock, by which mutes, bans and invites end. */
export const serverNow = () => Date.now() + ahead;

const midnight = (at) => new Date(at).setHours(0, 0, 0, 0);
/** Days from `at` to `now` by the calendar; a day of summer time has 23 or 25 hours. */
const daysAgo = (at, now) => Math.round((midnight(now) - midnight(at)) / 86_400_000);
const capital = (text) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

export const sameDay = (a, b) => midnight(a) === midnight(b);
export const timeOfDay = (at) => clock.format(at);
export const exact = (at) => full.format(at);

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
/** When something ends: the time, with the day unless it is today. */
export const deadline = (at, now = serverNow()) => (sameDay(at, now) ? clock : moment).format(at);

/** The name of a day between messages. */
export function dayName(at, now = serverNow()) {
  const days = daysAgo(at, now);
  if (days < 2) return capital(relative.format(-days, 'day'));
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? weekday.format(at) : date.format(at);
}

/** A few letters for lists: the time today, the day before, then the date. */
export function brief(at, now = serverNow()) {
  const days = daysAgo(at, now);
  if (days <= 0) return clock.format(at);
  return days === 1 ? capital(relative.format(-1, 'day')) : short.format(at);
}

/** How long ago: `5 minutes ago`. */
export function ago(at, now = serverNow()) {
  const minutes = Math.round((now - at) / 60_000);
  if (minutes < 60) return relative.format(-Math.max(0, minutes), 'minute');
  if (minutes < 24 * 60) return relative.format(-Math.round(minutes / 60), 'hour');
  return relative.format(-daysAgo(at, now), 'day');
}
