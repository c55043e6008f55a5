<?php
declare(strict_types=1);

namespace Wsfpm;

/** Redis or the gateway did not take it, or cannot be reached: there, not in the script, is something to mend. */
final class Failed extends \RuntimeException
{
    /**
     * @param bool $unsure it may have been carried out all the same, as after a timeout: repeated, it may happen twice
     */
    public function __construct(string $message, public readonly bool $unsure = false, ?\Throwable $cause = null)
    {
        parent::__construct($message . ($unsure ? ' (it may have been carried out)' : ''), 0, $cause);
    }
}
