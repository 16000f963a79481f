-- expect: block pol.deny.table
SELECT /*+ SET_VAR(sql_mode='ANSI_QUOTES') */ word FROM secret
-- expect: allow adm.setvar under=default
SELECT /*+ SET_VAR(sql_mode='ANSI_QUOTES') */ name FROM pub WHERE id = 1
-- expect: block pol.deny.table
SELECT /*+ MAX_EXECUTION_TIME(1000) */ word FROM secret
-- expect: block pol.deny.table
SELECT /*+ */ */ word FROM secret
