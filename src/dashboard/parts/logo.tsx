export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path
        class="logo-ring"
        d="M16 6a10 10 0 1 0 6.2 17.8l2.5 2.5 2-2-2.5-2.5A10 10 0 0 0 16 6Zm0 3.4a6.6 6.6 0 1 1 0 13.2 6.6 6.6 0 0 1 0-13.2Z"
      />
      <path class="logo-tick" d="M12.5 16.2l2.5 2.5 4.6-5" />
    </svg>
  );
}
