-- expect: block pol.readonly
select 1;                                                                                                          x; drop table pub
-- expect: block pol.readonly
select 1;                                                                                          /* */ /* */ /* */ /* */ drop table pub
-- expect: block pol.readonly
/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/ drop table pub
