-- expect: block pol.deny.table
SELECT word FROM `secret`
-- expect: block pol.deny.table
SELECT word FROM SECRET
-- expect: block pol.deny.table
SELECT word FROM qc_scratch.secret
-- expect: block pol.deny.table
SELECT word FROM `qc_scratch`.`secret`
-- expect: block pol.deny.table
SELECT word FROM qc_scratch . secret
-- expect: block pol.deny.table
SELECT word FROM qc_scratch/**/./**/secret
-- expect: block pol.deny.table
SELECT word FROM `qc_scratch`/*!50000 .secret */
-- expect: block pol.deny.table
SELECT secret.* FROM pub AS secret2, secret
-- expect: block pol.deny.table
SELECT pub.word FROM secret AS pub
-- expect: block pol.deny.table
SELECT pub.word FROM secret pub
-- expect: block pol.deny.table
SELECT `a``b`.word FROM secret AS `a``b`
-- expect: block pol.deny.table
SELECT word FROM .secret
-- expect: block pol.deny.table
SELECT word FROM secret PARTITION (p0)
-- expect: block pol.deny.table
SELECT word FROM secret USE INDEX (PRIMARY)
-- expect: block pol.deny.table
SELECT word FROM pub p JOIN secret FORCE INDEX (PRIMARY) ON p.id = secret.id
