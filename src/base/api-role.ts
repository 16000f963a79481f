/** What the holder of a key may do by the admin API: everything; answer approvals; ask for them and nothing else. */
export const API_ROLES = ["admin", "approver", "requester"] as const;
export type ApiRole = (typeof API_ROLES)[number];
