<?php
declare(strict_types=1);

namespace Wsfpm;

/**
 * What the gateway would refuse, cut or drop. File and line are those of the script's own call,
 * so PHP's report of an uncaught one names it, and the gateway counts the event as failed.
 */
final class Refused extends \InvalidArgumentException
{
    /** The field or the part of the answer, then why. */
    public function __construct(string $message)
    {
        parent::__construct($message);
        // The outermost call in an unbroken row of calls of this namespace.
        foreach ($this->getTrace() as $call) {
            if (!str_starts_with($call['class'] ?? '', __NAMESPACE__ . '\\')) {
                break;
            }
            $this->file = $call['file'] ?? $this->file;
            $this->line = $call['line'] ?? $this->line;
        }
    }
}
