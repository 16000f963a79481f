/** How the questions begin that querycop asks on its own account, to know how the server reads a session's statements. */
export const OWN_QUESTION = "SELECT CAST(@@";
