// What one may not do in a room, and why: the page offers nothing that the server would refuse.

import { isMuted } from './people.js';
import { deadline } from './time.js';

/**
 * @param {import('./client.js').Client} client @param {import('./types.js').Room|undefined} room
 * @returns {{ kind: 'readonly'|'archived'|'muted', text: string }|null} Null: one may write.
 */
export function restriction(client, room) {
  if (isReadonly(client)) return { kind: 'readonly', text: 'Your account can read, but not write.' };
  if (room?.view?.archived) return { kind: 'archived', text: 'This room is archived.' };
  const me = room?.members?.find((m) => m.user === client.me);
  if (!isMuted(me)) return null;
  return { kind: 'muted', text: `You are muted in this room${me.muted_until ? ` until ${deadline(me.muted_until)}` : ''}.` };
}

/** Whether an account reads and does nothing else, in all rooms. @param {import('./client.js').Client} client */
export const isReadonly = (client) => client.session.login?.user.role === 'readonly';
