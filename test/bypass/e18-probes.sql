-- expect: allow under=default
select $$
-- expect: allow under=default
select @@version_comment limit 1
-- expect: allow under=default
SELECT 1
