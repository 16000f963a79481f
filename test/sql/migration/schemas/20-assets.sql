-- The shape of Snipe-IT, as phpMyAdmin exports it: keys come behind.
SET SQL_MODE = "NO_AUTO_VALUE_ON_ZERO";
START TRANSACTION;
CREATE TABLE `assets` (
  `id` int(10) UNSIGNED NOT NULL,
  `asset_tag` varchar(255) DEFAULT NULL,
  `purchase_cost` decimal(20,2) DEFAULT NULL,
  `physical` tinyint(1) NOT NULL DEFAULT 1,
  `warranty_months` int(11) DEFAULT NULL,
  `deleted_at` timestamp NULL DEFAULT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
ALTER TABLE `assets`
  ADD PRIMARY KEY (`id`),
  ADD KEY `assets_tag` (`asset_tag`);
ALTER TABLE `assets`
  MODIFY `id` int(10) UNSIGNED NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=57;
COMMIT;
